"""Tables of candidates and their embeddings to select from, and what was selected, as texts."""

import numpy as np
import polars as pl

from prefopt_core.ground.ids import candidate_id_of
from prefopt_core.ground.tables import TABLES
from prefopt_core.ground.vectors import pack
from prefopt_core.selection.settings import SelectionConfig


def sampled(**prompts):
    """Table `candidates`: prompt_id → the texts sampled for it."""
    rows = [
        {
            "prompt_id": prompt_id,
            "candidate_id": candidate_id_of(prompt_id, text),
            "sample": sample,
            "response": text,
            "policy": "test",
            "finish_reason": "given",
            "logps": -float(len(text)),
        }
        for prompt_id, texts in prompts.items()
        for sample, text in enumerate(texts)
    ]
    empty = pl.DataFrame(schema=TABLES["candidates"].columns)
    return pl.concat(
        [empty, pl.DataFrame(rows, schema_overrides={"sample": pl.Int32})], how="diagonal"
    )


def embedded(candidates):
    """Table `embeddings`: a random direction for each distinct response."""
    ids = candidates["candidate_id"].unique(maintain_order=True)
    seeds = [int(candidate_id[:8], 16) for candidate_id in ids]
    vectors = np.array([np.random.default_rng(seed).normal(size=6) for seed in seeds])
    vectors = vectors.reshape(len(ids), 6) / np.linalg.norm(vectors.reshape(-1, 6), axis=1)[:, None]
    return pl.DataFrame({"candidate_id": ids, "vector": pack(vectors)})


def config(strategy="aepo", k=2, **params):
    return SelectionConfig(strategy=strategy, k=k, params=params)


def texts(selections, candidates):
    """prompt_id → selected texts, in the order of their rank."""
    distinct = candidates.unique("candidate_id").select("candidate_id", "response")
    rows = selections.join(distinct, on="candidate_id", how="left", maintain_order="left")
    groups = rows.group_by("prompt_id", maintain_order=True).agg("response")
    return dict(groups.iter_rows())
