"""Responses in the policy's hidden space: means over their tokens, the same in any batch."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from transformers import AutoModelForCausalLM

from prefopt_core.embedding.by_policy import embed_by_policy
from prefopt_core.embedding.policy import embed
from prefopt_core.embedding.settings import EmbeddingConfig
from prefopt_core.embedding.table import embed_candidates
from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.generation.table import generate_candidates
from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.tables import check_table
from prefopt_core.ground.vectors import unpack
from prefopt_core.inputs.prompts import from_file
from prefopt_core.pool.settings import PoolConfig

POLICY = EmbeddingConfig(embedder="policy")
SEQUENCES = [([5, 6, 7], [8, 9]), ([5], [10, 11, 12, 13, 14]), ([9, 9, 9, 9, 9, 9], [8])]


@pytest.fixture
def sampled(write, tiny_model):
    """(prompts, candidates) of the tiny model."""
    texts = ["reset", "How do I reset my password?"]
    prompts = from_file(0, path=str(write("p.jsonl", [{"prompt": text} for text in texts])))
    config = GenerationConfig(n=4, params={"max_new_tokens": 12})
    return prompts, generate_candidates(prompts, tiny_model, config, seed=0)


def test_it_is_the_mean_of_last_hidden_states_over_the_tokens_of_the_response(tiny_model):
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    for (prompt, response), vector in zip(SEQUENCES, embed(SEQUENCES, tiny_model), strict=True):
        with torch.no_grad():
            every = model(torch.tensor([[*prompt, *response]]), output_hidden_states=True)
        mean = every.hidden_states[-1][0, len(prompt) :].mean(0).numpy()
        assert vector == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)


def test_a_batch_is_as_one_by_one_in_any_order(tiny_model):
    alone = np.concatenate([embed([each], tiny_model) for each in SEQUENCES])
    assert embed(SEQUENCES, tiny_model) == pytest.approx(alone, abs=1e-6)
    assert embed(SEQUENCES[::-1], tiny_model, batch_size=2)[::-1] == pytest.approx(alone, abs=1e-6)


def test_what_stands_before_a_response_counts(tiny_model):
    one, other = embed([([5, 6], [8, 9]), ([7, 6], [8, 9])], tiny_model)
    assert not np.allclose(one, other)


def test_each_distinct_response_has_the_vector_of_its_tokens(sampled, tiny_model):
    prompts, candidates = sampled
    table = check_table("embeddings", embed_by_policy(candidates, prompts, tiny_model, POLICY))
    distinct = candidates.unique("candidate_id", keep="first", maintain_order=True)
    assert table["candidate_id"].equals(distinct["candidate_id"])
    sequences = list(distinct.select("prompt_token_ids", "response_token_ids").iter_rows())
    assert unpack(table["vector"]) == pytest.approx(embed(sequences, tiny_model), abs=1e-3)
    assert embed_by_policy(candidates.head(0), prompts, tiny_model, POLICY).is_empty()


def test_where_no_policy_is_it_is_refused():
    with pytest.raises(ValidationError, match="a pool has prompts alone"):
        PoolConfig(count=3, embedding={"embedder": "policy"})


def test_texts_alone_are_refused(sampled):
    with pytest.raises(ConfigError, match=r"`align` or `aepo`; here 'hashing'"):
        embed_candidates(sampled[1], POLICY)
