"""What was proposed for labels, read from the store as far as a page needs it."""

import polars as pl

from prefopt_core.ground.tables import rows_of
from prefopt_core.labels.asked import Proposal
from prefopt_core.reports.inspection import shown_prompts
from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.store import Store


def read_proposal(store: Store, proposal: Proposal[Artifact]) -> Proposal[pl.DataFrame]:
    """The tables of a proposal, as far as a page needs them.

    Of candidates their ids; texts and vectors, which are most of their bytes, of the shown prompts.
    """
    embeddings = proposal.embeddings
    selections = store.read(proposal.selections)
    every = store.read(proposal.candidates, ("prompt_id", "candidate_id", "sample"))
    shown = every.filter(pl.col("prompt_id").is_in(shown_prompts(selections)))["candidate_id"]
    texts = rows_of(store.scan(proposal.candidates).select("candidate_id", "response"), shown)
    candidates = every.join(
        texts.unique("candidate_id"), "candidate_id", how="left", maintain_order="left"
    )
    vectors = rows_of(store.scan(embeddings), shown) if embeddings else None
    return Proposal(selections, candidates, store.read(proposal.prompts), vectors)
