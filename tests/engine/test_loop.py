"""Two rounds of the joined loop with vLLM in place of transformers: the same tables come out."""

from prefopt_core.models import loading as models
from prefopt_core.store.store import Store
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
    _, again, _ = run(by_vllm(settings, max_model_len=128), ours)
    assert all(outcome.cached for _, outcome in again)  # changes speed only, so no key


def test_adapters_of_two_rounds_are_served_by_one_engine(settings, run, tmp_path):
    models.release_models()
    ours, plain = tmp_path / "vllm", tmp_path / "transformers"
    training = settings["training"] | {"lora": {"r": 4, "merge": False}}
    settings = settings | {"training": training}
    _, made, engines = run(by_vllm(settings), ours)
    left = shapes(made, ours)
    assert left == shapes(run(settings, plain)[1], plain)
    first, second = (n for n, (stage, _) in enumerate(made) if stage == "train")
    for place in (first, second):
        assert "adapter_model.safetensors" in left[place][2]
        assert "model.safetensors" not in left[place][2]
    assert engines[first] == []  # it served no adapters, so that training ended it
    (serving,) = {tuple(pids) for pids in engines[first + 1 :]}  # in both rounds, training too
    assert len(serving) == 1
    assert second > first + 1
