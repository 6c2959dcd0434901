"""Two rounds of the joined loop with vLLM in place of transformers: the same tables come out."""

from prefopt_core.store import Store
from tasks.stage import STAGES


def by_vllm(settings, **params):
    """The same run, written and scored by the engine."""
    engine = {"enforce_eager": True, "max_num_seqs": 64} | params
    asked = {"generator": "vllm", "params": {"max_new_tokens": 24} | engine}
    return settings | {
        "generation": settings["generation"] | asked,
        "scoring": {"scorer": "vllm", "params": engine},
        "evaluation": settings["evaluation"] | {"generation": asked | {"n": 1}},
    }


def shapes(made, folder):
    """What each stage was and left: the columns of its table, or the files of its model."""
    store = Store(folder)
    return [
        (
            stage,
            outcome.cached,
            [f.name for f in outcome.value.files]
            if STAGES[stage].table is None
            else store.read(outcome.value).schema,
        )
        for stage, outcome in made
    ]


def test_two_rounds_make_the_same_tables_as_with_transformers(settings, run, tmp_path):
    ours, plain = tmp_path / "vllm", tmp_path / "transformers"
    made = shapes(run(by_vllm(settings), ours)[1], ours)
    assert made == shapes(run(settings, plain)[1], plain)
    _, again = run(by_vllm(settings, max_model_len=128), ours)
    assert all(outcome.cached for _, outcome in again)  # changes speed only, so no key
