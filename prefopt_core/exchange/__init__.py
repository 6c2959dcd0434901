"""Exchange of labels by files: `WRITERS` and `READERS`, one file a format, one line in each.

Open questions or kept verdicts go out; verdicts come back (`taking.take`).
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from prefopt_core.ground.registry import Registry
from prefopt_core.labels.kept import Entry

Writer = Callable[..., Iterable[str]]
"""`(entries, path, *, …)`, which writes the file and says what it cannot hold, a sentence each. All
entries have their texts."""

Reader = Callable[[Path], Iterator[Entry]]
"""`(path) -> entries`, in the order of the file; without a verdict where none was given."""

WRITERS: Registry[Writer] = Registry(
    "format of labels",
    {
        "csv": "prefopt_core.exchange.sheet:write",
        "html": "prefopt_core.exchange.html_page:write",
        "label-studio": "prefopt_core.exchange.label_studio:write",
        "argilla": "prefopt_core.exchange.argilla:write",
        "trl": "prefopt_core.exchange.trl:write",
        "ultrafeedback": "prefopt_core.exchange.ultrafeedback:write",
        "hh-rlhf": "prefopt_core.exchange.hh_rlhf:write",
        "nectar": "prefopt_core.exchange.nectar:write",
        "helpsteer2": "prefopt_core.exchange.helpsteer2:write",
        "helpsteer3": "prefopt_core.exchange.helpsteer3:write",
    },
    "prefopt.label_writers",
)

READERS: Registry[Reader] = Registry(
    "format of labels",
    {
        "csv": "prefopt_core.exchange.sheet:read",
        "html": "prefopt_core.exchange.html_page:read",
        "label-studio": "prefopt_core.exchange.label_studio:read",
        "argilla": "prefopt_core.exchange.argilla:read",
        "trl": "prefopt_core.exchange.trl:read",
        "ultrafeedback": "prefopt_core.exchange.ultrafeedback:read",
        "hh-rlhf": "prefopt_core.exchange.trl:read",
        "nectar": "prefopt_core.exchange.nectar:read",
        "helpsteer2": "prefopt_core.exchange.helpsteer2:read",
        "helpsteer3": "prefopt_core.exchange.helpsteer3:read",
    },
    "prefopt.label_readers",
)

__all__ = ["READERS", "WRITERS", "Reader", "Writer"]
