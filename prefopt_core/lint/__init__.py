"""Lint of preference data: what is wrong with pairs, each finding with its rows and what to do.

To add a check, write a function of the `Lint` type in `prefopt_core/lint/` and add its line to
`LINTS`. It warns; `lint.refuse` of a config, or `--refuse`, makes it an error.
"""

from collections.abc import Callable, Iterator

import polars as pl

from prefopt_core.ground.registry import Registry
from prefopt_core.lint.findings import Finding, Known

Lint = Callable[[pl.DataFrame, Known], Iterator[Finding]]
"""`(pairs, known) -> findings`; `pairs` as `texts.texts_of` makes them."""

LINTS: Registry[Lint] = Registry(
    "lint",
    {
        "always_first": "prefopt_core.lint.habits:always_first",
        "contradiction": "prefopt_core.lint.orders:contradiction",
        "control_tokens": "prefopt_core.lint.marks:control_tokens",
        "cycle": "prefopt_core.lint.orders:cycle",
        "empty": "prefopt_core.lint.same:empty",
        "extreme_length": "prefopt_core.lint.lengths:extreme_length",
        "identical": "prefopt_core.lint.same:identical",
        "leaked_prompt": "prefopt_core.lint.leaks:leaked_prompt",
        "length_bias": "prefopt_core.lint.lengths:length_bias",
        "malformed": "prefopt_core.lint.same:malformed",
        "near_identical": "prefopt_core.lint.same:near_identical",
        "prompt_in_response": "prefopt_core.lint.same:prompt_in_response",
        "refusal_chosen": "prefopt_core.lint.habits:refusal_chosen",
        "repeated_pair": "prefopt_core.lint.orders:repeated_pair",
        "repeated_prompt": "prefopt_core.lint.orders:repeated_prompt",
        "truncated": "prefopt_core.lint.endings:truncated",
    },
    "prefopt.lints",
)

__all__ = ["LINTS", "Finding", "Known", "Lint"]
