"""Bytes and memory: a store of generated responses, and the stages that read all of it."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import polars as pl

from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.ground.ids import candidate_id_of
from prefopt_core.ground.tables import TABLES
from prefopt_core.ground.vectors import pack
from prefopt_core.inputs.prompts import of_texts
from prefopt_core.inputs.settings import PromptsConfig
from prefopt_core.labels.account import Allowance
from prefopt_core.labels.asked import Asked, Proposal
from prefopt_core.pairing.settings import PairingConfig
from prefopt_core.reports.inspection import inspect_selection
from prefopt_core.store.artifacts import Artifact, Shard
from prefopt_core.store.store import Store
from tasks.annotation import annotate_responses
from tasks.inputs import load_prompts
from tasks.pairing import pair_responses

N = 64
"""Responses to a prompt."""
TOKENS = 200
"""Of a response, and half as many of a prompt."""
_SHARD = 64
"""Prompts in a shard, the default of `prompts.shard_size`."""
LABELS = 400
"""Bought of a round."""
_VOCABULARY = 32_000
D = 384
"""Numbers in a vector."""
_JUDGE = "def judge(prompt, response):\n    return float(len(response))\n"

Figures = dict[str, float]
Watched = Callable[[Callable[[], object]], Figures]
"""Calls something once; returns its `seconds` and the `mb` that memory grew by meanwhile."""


def _words() -> list[str]:
    rng = np.random.default_rng(0)
    letters = rng.integers(97, 123, (_VOCABULARY, 8)).astype(np.uint8)
    ends = rng.integers(2, 9, _VOCABULARY)
    return [bytes(row[:end]).decode() for row, end in zip(letters, ends, strict=True)]


def shards(prompts: int) -> Iterator[dict[str, pl.DataFrame]]:
    """The tables of a round, a shard at a time: responses of words by Zipf's law, as in a text."""
    words, rng = _words(), np.random.default_rng(1)
    for first in range(0, prompts, _SHARD):
        count = min(_SHARD, prompts - first)
        asked = rng.zipf(1.3, (count, TOKENS // 2)) % _VOCABULARY
        texts = [f"{first + i} {_text(words, row)}" for i, row in enumerate(asked.tolist())]
        table = of_texts(texts)
        ids = table["prompt_id"].to_list()
        tokens = rng.zipf(1.3, (count * N, TOKENS)) % _VOCABULARY
        owners = [prompt for prompt in ids for _ in range(N)]
        responses = [_text(words, row) for row in tokens.tolist()]
        own = [candidate_id_of(*both) for both in zip(owners, responses, strict=True)]
        candidates = pl.DataFrame(
            {
                "prompt_id": owners,
                "candidate_id": own,
                "sample": list(range(N)) * count,
                "response": responses,
                "policy": "0" * 64,
                "finish_reason": "stop",
                "prompt_token_ids": np.repeat(asked, N, axis=0).tolist(),
                "response_token_ids": tokens.tolist(),
                "logps": rng.normal(-300, 50, count * N),
                "template": "0" * 64,
            },
            schema=TABLES["candidates"].columns,
        )
        vectors = rng.standard_normal((count * N, D), dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        key = candidates.select("candidate_id")
        yield {
            "prompts": table,
            "candidates": candidates,
            "embeddings": key.with_columns(pack(vectors).alias("vector")),
            "logps": candidates.select("candidate_id", "logps"),
            "selections": _selections(candidates),
        }


def _selections(candidates: pl.DataFrame) -> pl.DataFrame:
    figures = {"representativeness": 0.5, "redundancy": 0.5, "gap": 0.0}
    rank = pl.col("sample").alias("rank")
    kept = candidates.filter(pl.col("sample") < 2).select("prompt_id", "candidate_id", rank)
    return kept.with_columns(**{name: pl.lit(value) for name, value in figures.items()})


def _text(words: list[str], numbers: list[int]) -> str:
    return " ".join(words[number] for number in numbers)


def stored(prompts: int, store: Store) -> dict[str, Artifact]:
    """Put the tables of a round into a store."""
    found: dict[str, list[Shard]] = {}
    for tables in shards(prompts):
        for name, frame in tables.items():
            found.setdefault(name, []).append(store.put_table(name, frame))
    return {name: Artifact(table=name, shards=tuple(of)) for name, of in found.items()}


def rows(prompts: int, folder: Path, watched: Watched) -> Figures:
    """Bytes of each table; seconds and memory of the stages that read a round whole."""
    store = Store(folder / "store")
    made = stored(prompts, store)
    figures = {
        f"{name} bytes": float(sum(shard.size for shard in table.shards))
        for name, table in made.items()
    }
    (folder / "judge.py").write_text(_JUDGE)
    asked = Asked(made["selections"], made["candidates"], made["prompts"])
    params = {"function": f"{folder / 'judge.py'}:judge"}
    config = AnnotationConfig(annotator="function", params=params)
    bought = annotate_responses.spec.bind(
        asked, config, LABELS, 0, allowance=Allowance("scale", LABELS)
    )
    results: list[object] = []
    figures |= _named(
        "annotate", watched(lambda: results.append(annotate_responses.spec.run(store, bought)))
    )
    labels = annotate_responses.spec.find(store, bought).value  # type: ignore[union-attr]
    paired = pair_responses.spec.bind(
        labels=labels,
        candidates=made["candidates"],
        prompts=made["prompts"],
        logps=made["logps"],
        config=PairingConfig(),
        round_number=1,
        seed=0,
    )
    figures |= _named("pair", watched(lambda: pair_responses.spec.run(store, paired)))
    return figures | _named("page", watched(lambda: _inspect(store, made)))


def _inspect(store: Store, made: Mapping[str, Artifact]) -> object:
    """What the section of a run's page on its selection is made from."""
    names = ("selections", "candidates", "prompts", "embeddings")
    return inspect_selection(Proposal(*(store.read(made[name]) for name in names)))


def prompts(count: int, folder: Path, watched: Watched) -> Figures:
    """Seconds and memory of reading the prompts of a file."""
    words, rng = _words(), np.random.default_rng(2)
    path = folder / "prompts.jsonl"
    with path.open("w") as file:
        for number in range(count):
            row = rng.zipf(1.3, TOKENS // 2) % _VOCABULARY
            file.write(f'{{"prompt": "{number} {_text(words, row.tolist())}"}}\n')
    store = Store(folder / "store")
    config = PromptsConfig(source="file", params={"path": str(path)})
    arguments = load_prompts.spec.bind(config, 0)
    return _named("load", watched(lambda: load_prompts.spec.run(store, arguments)))


def _named(what: str, figures: Mapping[str, float]) -> Figures:
    return {f"{what} {name}": value for name, value in figures.items()}
