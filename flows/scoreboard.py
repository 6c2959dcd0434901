"""The scoreboard of a run: metrics of every round on the held-out prompts, and the result."""

from dataclasses import dataclass
from pathlib import Path

from flows.parts import part
from prefopt_core.experiments.base import Experiment
from prefopt_core.ground.errors import OverBudgetError, in_words_of
from prefopt_core.labels.asked import Asked, Proposal
from prefopt_core.reports.samples import Answers
from prefopt_core.store.artifacts import Artifact, Folder
from tasks.annotation import grade_responses
from tasks.evaluation import (
    best_round,
    evaluate_round,
    gather_prompts,
    gather_responses,
    should_stop,
)
from tasks.generation import generate_candidates
from tasks.lint import lint_pairs
from tasks.overlap import overlapping, settled
from tasks.reports import report_labels, report_round, write_report
from tasks.scoring import score_responses
from tasks.session import notice
from tasks.tracking import track_round

_HELD_OUT = {
    f"generation.params.{name}": f"evaluation.generation.params.{name}"
    for name in ("max_new_tokens", "max_model_len", "python")
}
"""Settings in messages on held-out prompts → where they are."""
_WITHOUT = {
    "grades": "is not measured",
    "previous_grades": "is not compared with the round before",
    "truth": "has its self-labels unchecked",
}
"""What is said of a round, by the table that there is no money for."""

_Earlier = Answers[Artifact] | None
_Tables = dict[str, Artifact]


@dataclass(frozen=True)
class Result:
    """The result of a run.

    Attributes:
        preferences: Table `preferences` of the last round.
        policy: The policy of round `kept`.
        metrics: Table `metrics` of every round.
        report: Path of the report page.
        kept: The last round, or the best one (`evaluation.keep`); 0 is the start policy.
    """

    preferences: Artifact
    policy: Folder | None
    metrics: tuple[Artifact, ...]
    report: Path | None
    kept: int


class Scoreboard:
    """Metrics of a run, round by round; without `evaluation` only counts of pairs and labels."""

    def __init__(self, flow: str, config: Experiment, held_out: Artifact | None) -> None:
        self.flow, self.config, self.held_out = flow, config, held_out
        self.policies: list[Folder | None] = []
        self.learned: list[Artifact] = []
        self.metrics: list[Artifact] = []
        self.answers: list[Answers[Artifact] | None] = []
        self.proposal: Proposal[Artifact] | None = None
        self.labels: list[tuple[Artifact, Artifact]] = []
        self.warnings: list[str] = []
        self.of_labels: list[str] = []

    def labelled(self, labels: Artifact, candidates: Artifact) -> None:
        """Report labels (table `verdicts`), before anything is trained on them."""
        self.labels.append((labels, candidates))
        title = f"{self.config.name}: labels {len(self.labels)}"
        fewer, doubtful = report_labels(labels, candidates, title)
        self.warnings += fewer
        self.of_labels += [f"Labels {len(self.labels)}: {text}" for text in doubtful]

    def lint(self, pairs: Artifact) -> None:
        """Look for what is doubtful about pairs, before the coming round trains on them."""
        self.warnings += lint_pairs(
            pairs,
            self.config.lint,
            flow=self.flow,
            round_number=len(self.metrics),
            policy=self.policies[0],
            held_out=self.held_out,
            reported=bool(self.labels),
        )

    def measure(
        self,
        policy: Folder | None,
        preferences: Artifact | None = None,
        *,
        labels: Artifact | None = None,
        judged: Asked[Artifact] | None = None,
        proposal: Proposal[Artifact] | None = None,
    ) -> None:
        """Compute the metrics of a round; the first call is for the start policy.

        Args:
            policy: The policy after the round.
            preferences: Table `preferences` it was trained on.
            labels: Table `verdicts` of the labels bought for them.
            judged: The responses that the policy judged itself.
            proposal: The responses selected for labels, for the report.
        """
        self.policies.append(policy)
        number = len(self.metrics)
        here = f"round {number}" if number else "start"
        with part(f"measure, {here}", policy, preferences):
            self.metrics.append(
                evaluate_round(
                    round_number=number,
                    seed=self.config.seed,
                    **self._graded(policy, judged),
                    preferences=preferences,
                    labels=labels,
                    candidates=proposal.candidates if labels and proposal else None,
                    policy=policy if preferences else None,
                )
            )
        track_round(self.metrics[-1], policy if preferences else None, labels)
        self.learned += [preferences] if preferences else []
        self.proposal = proposal
        report_round(self.config, self.metrics, preferences, proposal)

    def _graded(
        self, policy: Folder | None, judged: Asked[Artifact] | None
    ) -> dict[str, Artifact | None]:
        """Have the policy answer the held-out prompts, and grade that and what it judged itself.

        Returns:
            The tables of `evaluate_round` that are about held-out prompts, and `truth`; none
            without `evaluation`.
        """
        evaluation, prompts, start = self.config.evaluation, self.held_out, self.policies[0]
        if not (evaluation and prompts and policy and start):
            return {}
        before = (self.answers[0], self.answers[-1]) if self.answers else (None, None)
        with in_words_of(_HELD_OUT), overlapping(OverBudgetError):
            responses = generate_candidates(
                prompts, policy, evaluation.generation, self.config.seed
            )
            every = Asked(responses, responses, prompts)
            if evaluation.compares:
                asked = self._compare(every, *before)
            else:
                asked = {"grades": self._grade(every)}
                asked |= {"truth": self._grade(judged)} if judged else {}
            start_logps = score_responses(every, start, self.config.scoring)
        responses, start_logps = settled((responses, start_logps))
        said = {name: self._paid(table, _WITHOUT[name]) for name, table in asked.items()}
        grades = said["grades"]
        self.answers.append(Answers(responses, grades) if grades else None)
        earlier = _compared(grades, *before) if evaluation.compares else _scored(*before)
        return {**earlier, **said, "responses": responses, "start_logps": start_logps}

    def _compare(self, now: Asked[Artifact], start: _Earlier, previous: _Earlier) -> _Tables:
        """What the annotator says of responses beside the start policy's and the last round's."""
        if not start:  # of one response alone nothing is asked
            return {"grades": self._grade(now)}
        asked = {"grades": self._grade_beside(now, start)}
        if previous and previous is not start:
            asked["previous_grades"] = self._grade_beside(now, previous)
        return asked

    def _grade_beside(self, now: Asked[Artifact], other: Answers[Artifact]) -> Artifact:
        both = gather_responses([now.candidates, other.responses])
        return self._grade(Asked(both, both, gather_prompts([now.prompts], both)))

    def _grade(self, asked: Asked[Artifact]) -> Artifact:
        evaluation = self.config.evaluation
        assert evaluation is not None
        return grade_responses(
            asked.selections,
            asked.candidates,
            asked.prompts,
            evaluation.grader,
            allowance=self.config.allowance,
        )

    def _paid(self, grades: Artifact | None, without: str) -> Artifact | None:
        """Grades by the gold annotator; None, and a warning, where the money does not pay for all.

        The run goes on: what it has bought and learned is worth as much.
        """
        try:
            return settled(grades)
        except OverBudgetError as error:
            number = len(self.metrics)
            which = f"Round {number}" if number else "The start policy"
            self.warnings.append(f"{which} {without}: {error}")
            notice(self.warnings[-1])
            return None

    def stops(self) -> bool:
        """Whether the run ends after the round measured last, by `evaluation.stop`."""
        evaluation = self.config.evaluation
        return evaluation is not None and should_stop(self.metrics[-1], evaluation.stop)

    def result(self) -> Result:
        """Choose the round to keep and write the report page."""
        evaluation = self.config.evaluation
        kept = len(self.metrics) - 1
        if evaluation and evaluation.keep == "best":
            kept = best_round(self.metrics)
        start, now = (self.answers[at] if self.answers else None for at in (0, kept))
        report = write_report(
            self.flow,
            self.config,
            self.metrics,
            self.learned,
            kept=kept,
            policy=self.policies[kept],
            held_out=self.held_out,
            answers=(start, now) if kept and start and now else None,
            proposal=self.proposal,
            labelled=self.labels,
            warnings=self.warnings,
            of_labels=self.of_labels,
        )
        policy, pairs = self.policies[kept], self.learned[-1]
        return Result(pairs, policy, tuple(self.metrics), report, kept)


def _scored(start: _Earlier, previous: _Earlier) -> dict[str, Artifact | None]:
    """The tables of earlier policies for `evaluate_round`, where each response has a score."""
    return {
        "start_responses": start.responses if start else None,
        "start_grades": start.grades if start else None,
        "previous_grades": previous.grades if previous else None,
    }


def _compared(
    grades: Artifact | None, start: _Earlier, previous: _Earlier
) -> dict[str, Artifact | None]:
    """The same where `grades` say which of two is better; those of a later round come on top."""
    return {
        "start_responses": start.responses if start else None,
        "start_grades": grades if start else None,
        "previous_responses": previous.responses if previous else None,
        "previous_grades": grades if start and previous is start else None,
    }
