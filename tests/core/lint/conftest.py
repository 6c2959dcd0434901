"""What lint finds in rows of a file."""

import random

import pytest

from prefopt_core.inputs.prompts import of_texts
from prefopt_core.lint import LINTS, Known
from prefopt_core.lint.reading import read_pairs
from prefopt_core.lint.texts import texts_of


@pytest.fixture
def found(write):
    """Findings of one lint, or of all, in rows with prompt, chosen and rejected."""

    def found(rows, *lints, against=None, verdicts=None, control=()):
        read = read_pairs(write("pairs.jsonl", rows))
        held_out = of_texts(against) if against else None
        known = Known(held_out, verdicts, control, read.malformed)
        pairs = texts_of(read.pairs)
        return [f for name in lints or LINTS for f in LINTS[name](pairs, known)]

    return found


@pytest.fixture
def good():
    """Pairs without a fault: which response is longer is a coin's choice."""
    rng = random.Random(0)
    text = "press the green button then wait until light turns on and close every door"
    words = text.split()

    def sentence(n):
        return " ".join(rng.choices(words, k=n)).capitalize() + "."

    return [
        {
            "prompt": f"How do I mend machine number {number}?",
            "chosen": sentence(rng.randint(8, 40)),
            "rejected": sentence(rng.randint(8, 40)),
        }
        for number in range(200)
    ]
