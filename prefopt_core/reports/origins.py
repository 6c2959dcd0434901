"""Where tables of pairs come from: the tables that the loop made on the way to them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.cache_key import key_values
from prefopt_core.store.lineage import Lineage, Made


@dataclass(frozen=True)
class Origin:
    """How one table of pairs came to be; None: it had no such part.

    Attributes:
        pairs: Table `preferences`.
        labels: Table `verdicts` that was paid for.
        judgments: Table `verdicts` of the judge.
        selections: Table `selections` of the responses that were asked about.
        candidates: Table `candidates`; for SPIN the policy's own, which are all rejected.
        prompts: Table `prompts`.
        labelled: How the pairs came to be whose chosen responses these have, too; of SPIN.
    """

    pairs: Made
    labels: Made | None = None
    judgments: Made | None = None
    selections: Made | None = None
    candidates: Made | None = None
    prompts: Made | None = None
    labelled: "Origin | None" = None


def origins(lineage: Lineage, preferences: Sequence[Artifact]) -> list[Origin]:
    """How tables of pairs came to be, each once, with those that they took pairs from.

    Raises:
        StoreError: The store does not know it any more.
    """
    found: dict[str, Origin] = {}
    for table in preferences:
        for origin in _origins(lineage, lineage.made(key_values(table))):
            found.setdefault(origin.pairs.output.digest, origin)
    return list(found.values())


def _origins(lineage: Lineage, pairs: Made) -> Iterator[Origin]:
    inputs, stage = pairs.inputs, pairs.manifest.stage
    if stage == "score_preferences":  # the same pairs under another reference model
        for earlier in inputs["preferences"]:
            yield from _origins(lineage, lineage.made(earlier))
    elif stage in ("note_consistency", "hold_out"):  # with a column more; some of them
        yield from _origins(lineage, lineage.made(inputs["pairs"]))
    elif stage == "draw_replay":
        for earlier in inputs["labelled"]:
            yield from _origins(lineage, lineage.made(earlier))
    elif stage == "pair_against_own":
        earlier = list(_origins(lineage, lineage.made(inputs["labelled"])))
        yield from earlier
        own = lineage.made(inputs["responses"])
        yield Origin(pairs, candidates=own, labelled=earlier[-1])
    elif stage == "pair":
        made = {
            name: lineage.made(inputs[name])
            for name in ("labels", "judgments", "candidates", "prompts")
            if inputs.get(name)
        }
        asked = made.get("labels") or made["judgments"]
        yield Origin(
            pairs,
            made.get("labels"),
            made.get("judgments"),
            lineage.made(asked.inputs["selections"]),
            made["candidates"],
            made["prompts"],
        )
    else:  # read from a file
        yield Origin(pairs)
