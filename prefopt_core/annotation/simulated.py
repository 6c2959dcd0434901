"""A simulated human: the scores of a gold function, with flips, noise and position bias."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import Field, NonNegativeFloat

from prefopt_core.annotation.asking import Form
from prefopt_core.annotation.function import check_annotate as check_function
from prefopt_core.annotation.function import scores
from prefopt_core.annotation.verdicts import by_scores, number_in
from prefopt_core.ground.ids import candidate_id_of, prompt_id_of
from prefopt_core.ground.randomness import rng_for
from prefopt_core.labels.questions import Question, Verdict


def annotate(
    questions: Sequence[Question],
    *,
    function: str,
    ask: Form = "score",
    error_rate: Annotated[float, Field(ge=0, le=1)] = 0.0,
    noise: NonNegativeFloat = 0.0,
    position_bias: float = 0.0,
    seed: int = 0,
) -> Iterator[Verdict]:
    """Score by `function` with human errors; the same response gets the same score again.

    Args:
        questions: What the human is asked.
        function: The gold function, as for the annotator `function`.
        ask: "score": each response of a prompt, shown together; "compare": two at a time; "rank":
            all selected ones.
        error_rate: Share of prompts whose responses are ranked the wrong way round: of two, so
            many pairs are flipped.
        noise: Scale s of an error on every score, such that of two responses the better one wins
            with probability σ(difference / s): a Bradley-Terry human.
        position_bias: Added to the score of whichever response is shown first; the order in which
            they are shown is drawn.
        seed: Root of the draws; another seed is another human.
    """
    prompts = [prompt_id_of(q.prompt) for q in questions for _ in q.responses]
    texts = [shown.text for question in questions for shown in question.responses]
    responses = [candidate_id_of(p, text) for p, text in zip(prompts, texts, strict=True)]
    if ask == "score":
        drawn = _shown_first(prompts, responses, seed)
        first = [response in drawn for response in responses]
    else:
        first = [number == 0 for question in questions for number in range(len(question.responses))]

    def seen() -> Iterator[Any]:
        gold = scores(questions, function)
        for prompt, response, leads, score in zip(prompts, responses, first, gold, strict=True):
            try:
                score = number_in(score)
            except ValueError:  # None, or what is told when it arrives
                yield score
                continue
            error = rng_for(seed, "noise of a human", response).gumbel() * noise
            felt = score + error + position_bias * leads
            wrong = rng_for(seed, "errors of a human", prompt).random() < error_rate
            yield -felt if wrong else felt

    yield from by_scores(questions, seen())


def check_annotate(*, function: str) -> Iterator[str]:
    """As for the annotator `function`, which is called with one response at a time.

    Raises:
        ConfigError: It cannot be called so.
    """
    yield from check_function(function=function)


def _shown_first(prompts: Sequence[str], responses: Sequence[str], seed: int) -> set[str]:
    """The response that is shown first, for each prompt with several of them."""
    shown: dict[str, set[str]] = {}
    for prompt, response in zip(prompts, responses, strict=True):
        shown.setdefault(prompt, set()).add(response)
    return {
        min(own, key=lambda r: (rng_for(seed, "order shown to a human", r).random(), r))
        for own in shown.values()
        if len(own) > 1
    }
