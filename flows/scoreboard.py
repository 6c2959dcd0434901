"""Measures every round on the same held-out prompts, and shows the figures."""

from dataclasses import dataclass
from pathlib import Path

from flows.pool import SHARD_SIZE, deserving
from prefopt_core.experiments.flows import Experiment
from prefopt_core.store.artifacts import Artifact, Model
from tasks.annotation import grade_responses
from tasks.evaluation import best_round, evaluate_round, should_stop
from tasks.generation import generate_candidates
from tasks.inputs import draw_prompts
from tasks.pool import take_prompts
from tasks.reports import Choice, report_round, write_report
from tasks.scoring import score_responses


@dataclass(frozen=True)
class Result:
    """What a run leaves behind.

    Attributes:
        preferences: The pairs of the last round.
        policy: That of the round `kept`: the last one, or the best (`evaluation.keep`).
        metrics: The figures of every round.
        report: The page.
        kept: The number of that round; 0 is the start.
    """

    preferences: Artifact
    policy: Model | None
    metrics: tuple[Artifact, ...]
    report: Path | None
    kept: int


class Scoreboard:
    """The figures of a run, round by round; without `evaluation` only what can be counted."""

    def __init__(
        self, flow: str, config: Experiment, prompts: Artifact, used: Artifact | None = None
    ) -> None:
        self.flow, self.config, self.prompts, self.used = flow, config, prompts, used
        self.learned: list[Artifact] = []
        self.metrics: list[Artifact] = []
        self.grades: list[Artifact] = []
        self.choice: Choice | None = None
        self.chosen: Artifact | None = None  # which prompts deserve the budget
        self.test: Artifact | None = None
        self.policies: list[Model | None] = []
        if config.evaluation:
            shard_size, count = config.prompts.shard_size, config.test_prompts
            self.test = self._draw(0, count, "evaluation", shard_size)
        if config.pool:
            self.prompts = self._draw(config.test_prompts, None, "pool", SHARD_SIZE)
            self.chosen, _ = deserving(self.prompts, config.pool, config.seed)

    def draw(self, first: int, count: int | None, purpose: str) -> Artifact:
        """Prompts for one purpose, disjoint from those of others; of a pool the most wanted."""
        shard_size = self.config.prompts.shard_size
        if self.chosen:
            return take_prompts(self.prompts, self.chosen, first, count, shard_size)
        return self._draw(self.config.test_prompts + first, count, purpose, shard_size)

    def _draw(self, first: int, count: int | None, purpose: str, shard_size: int) -> Artifact:
        seed, used = self.config.seed, self.used
        return draw_prompts(self.prompts, first, count, purpose, shard_size, seed, used)

    def measure(
        self,
        policy: Model | None,
        preferences: Artifact | None = None,
        annotations: Artifact | None = None,
        judged: tuple[Artifact, Artifact, Artifact] | None = None,
        choice: Choice | None = None,
    ) -> None:
        """Add a round; the first call is the start policy's.

        Args:
            policy: The policy after the round.
            preferences: The pairs it learned from.
            annotations: The labels bought for them.
            judged: (selections, candidates, prompts) that the policy judged itself.
            choice: (selections, candidates, embeddings, prompts): what was selected, for show.
        """
        evaluation, seed = self.config.evaluation, self.config.seed
        start, previous = (*self.grades[:1], None)[0], (None, *self.grades)[-1]
        self.policies.append(policy)
        begin = self.policies[0]
        responses = grades = truth = start_logps = None
        if evaluation and self.test and policy and begin:
            responses = generate_candidates(self.test, policy, evaluation.generation, seed)
            grades = grade_responses(responses, responses, self.test, evaluation.grader)
            truth = grade_responses(*judged, evaluation.grader) if judged else None
            start_logps = score_responses(
                responses, responses, self.test, begin, self.config.scoring
            )
            self.grades.append(grades)
        self.metrics.append(
            evaluate_round(
                round_number=len(self.metrics),
                seed=seed,
                responses=responses,
                grades=grades,
                start_grades=start,
                previous_grades=previous,
                preferences=preferences,
                annotations=annotations,
                truth=truth,
                start_logps=start_logps,
                policy=policy if preferences else None,
            )
        )
        self.learned += [preferences] if preferences else []
        self.choice = choice
        report_round(self.flow, self.metrics, preferences, choice)

    def stops(self) -> bool:
        """Whether the run ends with the round that was measured last, by `evaluation.stop`."""
        evaluation = self.config.evaluation
        return evaluation is not None and should_stop(self.metrics[-1], evaluation.stop)

    def result(self) -> Result:
        """Close the run with its report."""
        evaluation = self.config.evaluation
        kept = len(self.metrics) - 1
        if evaluation and evaluation.keep == "best":
            kept = best_round(self.metrics)
        report = write_report(self.flow, self.config, self.metrics, self.learned, kept, self.choice)
        policy, pairs = self.policies[kept], self.learned[-1]
        return Result(pairs, policy, tuple(self.metrics), report, kept)
