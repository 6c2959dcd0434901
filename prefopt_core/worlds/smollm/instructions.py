"""Questions with two instructions whose keeping can be counted, as IFEval's (arXiv:2311.07911).

"What can we learn from bees? Answer in one sentence. End with a question."
"""

from collections.abc import Sequence
from random import Random

import polars as pl
from pydantic import PositiveInt

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.randomness import seed_for
from prefopt_core.inputs.prompts import of_texts
from prefopt_core.worlds.smollm.questions import QUESTIONS

NUMBERS = ("one", "two", "three", "four")
SENTENCES = ("Answer in one sentence.", "Answer in two sentences.", "Answer in three sentences.")
POINTS = (
    "Give a list of two numbered points.",
    "Give a list of three numbered points.",
    "Give a list of four numbered points.",
)
WORDS = ("Use 5 to 15 words.", "Use 15 to 25 words.", "Use 25 to 35 words.")
FORMS = (*SENTENCES, *POINTS, *WORDS)
USE = 'Use the word "{}".'
BEGIN = 'Begin with the word "{}".'
QUESTION = "End with a question."
MARK = "End with an exclamation mark."
# fmt: off
USED = ("always", "beautiful", "careful", "different", "example", "family", "important", "never",
        "people", "remember", "simple", "together")
BEGUN = ("Because", "Imagine", "Perhaps", "Remember", "Sometimes", "Well")
# fmt: on


def instructions(count: int, seed: int) -> list[str]:
    """Draw `count` prompts, no question twice; a shorter list is the start of a longer one.

    Raises:
        ConfigError: `count` is not within 0..`len(QUESTIONS)`.

    >>> instructions(3, seed=0) == instructions(5, seed=0)[:3]
    True
    """
    if not 0 <= count <= len(QUESTIONS):
        raise ConfigError(
            f"Cannot write {count} prompts for SmolLM: their number must lie between 0 and "
            f"{len(QUESTIONS)}. Ask for fewer, or read prompts from a file."
        )
    rng = Random(seed_for("smollm", "prompts", str(seed)))
    return [_with_instructions(q, rng) for q in rng.sample(QUESTIONS, len(QUESTIONS))][:count]


def load(seed: int, *, count: PositiveInt) -> pl.DataFrame:
    """Write questions with two instructions each, for a chat model to answer.

    Args:
        seed: Root of the draws.
        count: How many, up to 512, no question twice; a smaller count gives the start of a larger
            one's.
    """
    return of_texts(instructions(count, seed))


def _with_instructions(question: str, rng: Random) -> str:
    form = _one_of((SENTENCES, POINTS, WORDS), rng)
    wording = rng.choice(
        (USE.format(rng.choice(USED)), BEGIN.format(rng.choice(BEGUN)), QUESTION, MARK)
    )
    return f"{question} {form} {wording}"


def _one_of(kinds: Sequence[Sequence[str]], rng: Random) -> str:
    """Each kind is as likely as the others."""
    return rng.choice(rng.choice(kinds))
