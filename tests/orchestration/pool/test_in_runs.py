"""`pool` in the config of a run: only the chosen prompts are used."""

import re

import pytest

from prefopt_core.experiments.flows import CONFIGS
from prefopt_core.store.store import Store
from tasks.inputs import draw_prompts, load_preferences, load_prompts
from tasks.session import Session, session


class Listener:
    """Remembers the stages and what they returned."""

    def __init__(self):
        self.outcomes = []

    def started(self, stage): ...

    def progressed(self, stage, done, total): ...

    def finished(self, stage, outcome):
        self.outcomes.append((stage, outcome))

    def computed(self):
        return [stage for stage, outcome in self.outcomes if not outcome.cached]

    def tables(self, stage):
        read = Store.open().read
        return [read(outcome.value) for name, outcome in self.outcomes if name == stage]


@pytest.fixture
def listened(run):
    def listened(settings):
        listener = Listener()
        with session(Session(observer=listener)):
            run(settings)
        return listener

    return listened


@pytest.fixture
def aepo(given_candidates, write, questions):
    """AEPO on candidates from a file: what concerns its prompts takes no time."""
    rows = [
        {"prompt": text, "topic": topic, "response": f"Answer {i} to: {text}"}
        for text, topic in questions[:40]
        for i in range(3)
    ]
    params = {"path": str(write("candidates.jsonl", rows))}
    return given_candidates | {
        "generation": {"generator": "file", "params": params},
        "prompts": {"source": "file", "shard_size": 4, "params": dict(params)},
        "pool": {"count": 6, "embedding": {"embedder": "hashing"}},
        "budget": 100,
    }


def ids(tables):
    return [
        prompt_id
        for table in tables
        for prompt_id in table["prompt_id"].unique(maintain_order=True)
    ]


@pytest.mark.slow
def test_aepo_generates_for_the_chosen_only(listened, aepo, store):
    heard = listened(aepo)
    (chosen,) = heard.tables("take_prompts")
    assert chosen.height == 6
    assert set(ids(heard.tables("generate"))) == set(chosen["prompt_id"])
    (choices,) = heard.tables("choose_prompts")
    (pool,) = heard.tables("draw_prompts")
    assert pool.height == 40
    assert chosen["prompt_id"].equals(pool["prompt_id"][choices["row"]])
    assert listened(aepo).computed() == []


@pytest.mark.slow
def test_another_count_leaves_the_index_alone(listened, aepo, store):
    few = listened(aepo)
    aepo["pool"]["count"] = 8
    more = listened(aepo)
    assert more.computed()[:3] == ["choose_prompts", "take_prompts", "generate"]
    before, after = (heard.tables("take_prompts")[0]["prompt_id"] for heard in (few, more))
    assert after[:6].equals(before)  # the most wanted come first, whatever the count


@pytest.mark.slow
def test_strata_of_a_run_have_their_shares(listened, aepo, store):
    aepo["prompts"]["params"]["stratum"] = "topic"
    aepo["pool"]["rule"] = "equal"
    (choices,) = listened(aepo).tables("choose_prompts")
    assert dict(choices["stratum"].value_counts().iter_rows()) == {
        "mail": 2,
        "network": 2,
        "printer": 2,
    }


@pytest.mark.slow
def test_a_plan_shows_the_pool(prefopt, listened, aepo, config_file, store):
    file = config_file(aepo)
    _, planned, _ = prefopt("plan", file)
    stages = ["embed_prompts", "index_prompts", "choose_prompts", "take_prompts", "generate"]
    assert [s for s in re.findall(r"^ +(\w+) ", planned, re.MULTILINE) if s in stages] == stages
    listened(aepo)
    assert "0 of" in prefopt("plan", file)[1]
    _, planned, _ = prefopt("plan", file, "pool.count=8")
    assert "index_prompts" not in planned  # it is in the store
    assert re.search(r"choose_prompts .* count 6 → 8", planned)
    code, _, error = prefopt("plan", file, "pool.count=41")
    assert (code, "count=41 of 40 prompts" in error) == (2, True)


def test_pool_embedding_counts_where_it_matters(listened, aepo, store):
    listened(aepo)
    aepo["pool"]["embedding"]["params"] = {"dimensions": 64}
    assert listened(aepo).computed()[:3] == ["embed_prompts", "index_prompts", "choose_prompts"]


@pytest.fixture
def spa(settings, write):
    """Settings of SPA, whose labelled seed has two of the prompts."""
    seed = [
        {"prompt": f"How do I mend number {i}?", "chosen": "So.", "rejected": "Kick it!"}
        for i in range(2)
    ]
    left_out = ("annotation", "budget", "embedding")
    own = {"flow": "spa", "rounds": [{"prompts": 6}, {"prompts": 8}]}
    own["seed_preferences"] = {"path": str(write("seed.jsonl", seed))}
    return {name: s for name, s in settings.items() if name not in left_out} | own


@pytest.mark.slow
@pytest.mark.parametrize("flow", ["align", "spa"])
def test_rounds_take_the_most_wanted_and_no_test_prompts(listened, request, settings, store, flow):
    settings = request.getfixturevalue("spa") if flow == "spa" else settings
    settings["pool"] = {"count": 14, "strategy": "coreset", "embedding": {"embedder": "hashing"}}
    config = CONFIGS[flow].model_validate({n: s for n, s in settings.items() if n != "flow"})
    used = [load_preferences(config.seed_preferences)] if flow == "spa" else None
    all_prompts = load_prompts(config.prompts, 0)
    without_pool = draw_prompts(
        all_prompts, first=0, count=6, purpose="evaluation", shard_size=4, seed=0, used=used
    )

    heard = listened(settings)
    test, pool = heard.tables("draw_prompts")
    assert test.equals(store.read(without_pool))
    rounds = heard.tables("take_prompts")
    assert [table.height for table in rounds] == [6, 8]
    (choices,) = heard.tables("choose_prompts")
    assert ids(rounds) == pool["prompt_id"][choices["row"]].to_list()
    assert not set(ids(rounds)) & set(test["prompt_id"])
    assert pool.height == 24 - test.height - (2 if flow == "spa" else 0)
    assert listened(settings).computed() == []


@pytest.mark.parametrize("flow", ["align", "spa"])
def test_a_pool_smaller_than_the_rounds_is_refused(prefopt, request, settings, config_file, flow):
    settings = request.getfixturevalue("spa") if flow == "spa" else settings
    settings["pool"] = {"count": 13}
    for verb in ("run", "plan"):
        code, _, error = prefopt(verb, config_file(settings))
        assert code == 2
        assert error == (
            "prefopt: pool.count is 13: the rounds want 14 prompts. Set `pool.count` to at least "
            "14, or lower `prompts` of the rounds.\n"
        )


def test_a_pool_larger_than_its_prompts_is_refused_before_embedding(prefopt, aepo, config_file):
    aepo["pool"]["count"] = 41
    code, printed, error = prefopt("run", config_file(aepo), "--no-server")
    assert code == 2
    assert "count=41 of 40 prompts" in error
    assert "embed" not in printed
