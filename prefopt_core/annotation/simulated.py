"""A simulated human: the scores of a gold function, with flips, noise and position bias."""

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field, NonNegativeFloat

from prefopt_core.annotation import Request
from prefopt_core.annotation.function import annotate as judge
from prefopt_core.annotation.function import check_annotate
from prefopt_core.annotation.verdicts import number_in
from prefopt_core.ground.ids import candidate_id_of, prompt_id_of
from prefopt_core.ground.randomness import rng_for


def annotate(
    requests: Sequence[Request],
    *,
    function: str,
    error_rate: Annotated[float, Field(ge=0, le=1)] = 0.0,
    noise: NonNegativeFloat = 0.0,
    position_bias: float = 0.0,
    seed: int = 0,
) -> Iterator[float | None]:
    """Score by `function` with human errors; the same response gets the same score again.

    Args:
        requests: The responses to score; those to one prompt are shown together.
        function: The gold function, as for the annotator `function`.
        error_rate: Share of prompts whose responses are ranked the wrong way round: of two, so
            many pairs are flipped.
        noise: Scale s of an error on every score, such that of two responses the better one wins
            with probability σ(difference / s): a Bradley-Terry human.
        position_bias: Added to the score of whichever response is shown first; the order in which
            a prompt's responses are shown is drawn.
        seed: Root of the draws; another seed is another human.
    """
    prompts = [prompt_id_of(request.prompt) for request in requests]
    responses = [
        candidate_id_of(prompt, request.response)
        for prompt, request in zip(prompts, requests, strict=True)
    ]
    first = _shown_first(prompts, responses, seed)
    gold = judge(requests, function=function)
    for prompt, response, score in zip(prompts, responses, gold, strict=True):
        try:
            score = number_in(score)
        except ValueError:  # None, or what is told when it arrives
            yield score
            continue
        error = rng_for(seed, "noise of a human", response).gumbel() * noise
        seen = score + error + position_bias * (response in first)
        wrong = rng_for(seed, "errors of a human", prompt).random() < error_rate
        yield -seen if wrong else seen


__all__ = ["annotate", "check_annotate"]


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
