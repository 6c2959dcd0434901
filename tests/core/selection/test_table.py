"""Selection over a whole table: one row per kept response, whatever the samples look like."""

import numpy as np
import polars as pl
import pytest

from prefopt_core.ground.errors import ConfigError, DataError
from prefopt_core.ground.ids import candidate_id_of
from prefopt_core.ground.tables import TABLES, check_table
from prefopt_core.ground.vectors import pack, unpack
from prefopt_core.labels.budget import within_budget
from prefopt_core.selection.aepo import aepo, objective, redundancy, representativeness
from prefopt_core.selection.settings import SelectionConfig
from prefopt_core.selection.similarity import cosine
from prefopt_core.selection.table import select_responses
from tests.selecting import config, embedded, sampled, texts

THREE = sampled(
    b=["red", "green", "blue", "yellow"],
    a=["one", "two", "one", "three", "two", "one"],
    c=["north", "south", "east", "west", "up"],
)


def test_table_keeps_its_contract_and_the_order_of_the_prompts():
    selections = select_responses(THREE, embedded(THREE), config(), seed=0)
    assert check_table("selections", selections).equals(selections)
    assert selections["prompt_id"].to_list() == ["b", "b", "a", "a", "c", "c"]
    assert selections["rank"].to_list() == [0, 1] * 3


@pytest.mark.parametrize("weight", [0.0, 5.0])
def test_rows_are_what_the_array_function_says_of_the_distinct_responses(weight):
    embeddings = embedded(THREE)
    selections = select_responses(THREE, embeddings, config(diversity_weight=weight), seed=0)
    distinct, counts = ["one", "two", "three"], np.array([3, 2, 1])
    ids = pl.DataFrame({"candidate_id": [candidate_id_of("a", text) for text in distinct]})
    vectors = unpack(ids.join(embeddings, on="candidate_id", maintain_order="left")["vector"])
    similarity = cosine(vectors)
    expected = aepo(similarity, 2, diversity_weight=weight, counts=counts)
    rows = selections.filter(prompt_id="a")
    assert texts(rows, THREE)["a"] == [distinct[i] for i in expected]
    rep = representativeness(similarity, counts)[expected].mean()
    red = redundancy(similarity, [expected])[0]
    assert rows["representativeness"].to_list() == pytest.approx([rep, rep], abs=1e-6)
    assert rows["redundancy"].to_list() == pytest.approx([red, red], abs=1e-6)


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("given", [THREE, THREE.filter(pl.col("prompt_id") != "a")])
def test_order_of_the_rows_within_a_prompt_does_not_matter(given, k):
    embeddings = embedded(THREE)
    expected = select_responses(given, embeddings, config(k=k), seed=0)
    for seed in range(3):
        mixed = given.sample(fraction=1.0, shuffle=True, seed=seed)
        selections = select_responses(mixed, embeddings, config(k=k), seed=0)
        first = mixed["prompt_id"].unique(maintain_order=True).to_list()
        assert selections["prompt_id"].unique(maintain_order=True).to_list() == first
        order = ["prompt_id", "rank"]
        assert selections.sort(order).equals(expected.sort(order))


@pytest.mark.parametrize("strategy", ["aepo", "random"])
def test_other_prompts_change_nothing(strategy):
    embeddings = embedded(THREE)
    together = select_responses(THREE, embeddings, config(strategy), seed=4)
    for prompt_id in "abc":
        alone = THREE.filter(prompt_id=prompt_id)
        rows = select_responses(alone, embeddings, config(strategy), seed=4)
        assert rows.equals(together.filter(prompt_id=prompt_id))


def test_seed_and_prompt_decide_a_random_draw():
    many = sampled(**{f"p{i}": list("abcdefgh") for i in range(20)})
    first = select_responses(many, None, config("random"), seed=0)
    assert first.equals(select_responses(many, None, config("random"), seed=0))
    assert not first.equals(select_responses(many, None, config("random"), seed=1))
    assert len({tuple(drawn) for drawn in texts(first, many).values()}) > 5


def test_without_embeddings_the_parts_of_the_objective_are_null():
    selections = select_responses(THREE, None, config("random"), seed=0)
    assert selections["representativeness"].null_count() == len(selections) == 6
    assert selections["redundancy"].null_count() == 6


def test_with_embeddings_every_strategy_reports_the_parts():
    selections = select_responses(THREE, embedded(THREE), config("random"), seed=0)
    assert selections.drop("gap").null_count().sum_horizontal().item() == 0


def test_west_of_n_keeps_every_distinct_response_in_sample_order():
    selections = select_responses(THREE, None, config("west_of_n"), seed=0)
    assert texts(selections, THREE) == {
        "b": ["red", "green", "blue", "yellow"],
        "a": ["one", "two", "three"],
        "c": ["north", "south", "east", "west", "up"],
    }


@pytest.mark.parametrize("strategy", ["aepo", "coreset", "k_medoids", "perplexity", "random"])
def test_prompt_that_repeats_itself_keeps_what_it_has(strategy):
    candidates = sampled(
        few=["yes", "no", "yes", "yes"], same=["yes"] * 4, many=["a", "bb", "ccc", "dddd"]
    )
    selections = select_responses(candidates, embedded(candidates), config(strategy, 3), seed=0)
    selected = texts(selections, candidates)
    assert selected["few"] == ["yes", "no"]
    assert "same" not in selected
    assert len(selected["many"]) == 3


def test_perplexity_reads_the_log_probabilities():
    candidates = sampled(p=["ccc", "a", "bb", "dddd"])
    selections = select_responses(candidates, None, config("perplexity"), seed=0)
    assert texts(selections, candidates) == {"p": ["a", "dddd"]}


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_one_missing_log_probability_is_enough_to_refuse_perplexity(missing):
    logps = pl.when(pl.col("sample") == 2).then(missing).otherwise(pl.col("logps"))
    candidates = THREE.with_columns(logps.cast(pl.Float64).alias("logps"))
    with pytest.raises(ConfigError, match="'perplexity'"):
        select_responses(candidates, None, config("perplexity"), seed=0)


def test_too_few_samples_name_the_prompt_and_both_numbers():
    candidates = sampled(dull=["yes"] * 4, rich=list("abcde"), poor=["x" * 100, "y", "x" * 100])
    message = rf"k=4 of N=3 responses to prompt poor .*'{'x' * 59}…'.*`selection\.k`"
    with pytest.raises(ConfigError, match=message):
        select_responses(candidates, None, config("random", 4), seed=0)


def test_candidate_without_embedding_is_named():
    embeddings = embedded(THREE).filter(pl.col("candidate_id") != candidate_id_of("c", "east"))
    with pytest.raises(DataError, match=r"1 of 12 candidates have no embedding.*'east'"):
        select_responses(THREE, embeddings, config(), seed=0)


def test_strategy_that_needs_embeddings_and_has_none_says_so():
    with pytest.raises(ConfigError, match="'cosine' compares responses by their embeddings"):
        select_responses(THREE, None, config(), seed=0)


@pytest.mark.parametrize("with_embeddings", [True, False])
def test_no_prompts_give_an_empty_table(with_embeddings):
    nothing = THREE.head(0)
    embeddings = embedded(THREE) if with_embeddings else None
    selections = select_responses(nothing, embeddings, config(), seed=0)
    assert len(selections) == 0
    assert dict(selections.schema) == TABLES["selections"].columns


def test_pairs_by_embeddings_are_chosen_without_reading_the_texts():
    def refuse(texts):
        raise AssertionError("read")

    unread = THREE.lazy().with_columns(pl.col("response").map_batches(refuse, pl.String))
    embeddings = embedded(THREE)
    expected = select_responses(THREE, embeddings, config(), seed=0)
    assert select_responses(unread, embeddings, config(), seed=0).equals(expected)
    with pytest.raises(AssertionError, match="read"):
        select_responses(unread, embeddings, config(k=3), seed=0)


def test_inputs_are_left_alone():
    candidates, embeddings = THREE.clone(), embedded(THREE)
    before = embeddings.clone()
    select_responses(candidates, embeddings, config(), seed=0)
    assert candidates.equals(THREE)
    assert embeddings.equals(before)


@pytest.mark.parametrize("strategy", ["aepo", "diverse", "representative", "coreset"])
@pytest.mark.parametrize("k", [2, 3])
def test_size_of_the_batches_does_not_matter(monkeypatch, strategy, k):
    rng = np.random.default_rng(0)
    many = sampled(
        **{f"p{i}": [f"{i} {j}" for j in rng.integers(0, 12, 9)] + ["x", "y"] for i in range(40)}
    )
    ids = many["candidate_id"].unique(maintain_order=True)
    # Equal vectors, so that ties have to be broken alike, too.
    vectors = rng.integers(-1, 2, (len(ids), 3)).astype(float)
    embeddings = pl.DataFrame({"candidate_id": ids, "vector": pack(vectors)})
    at_once = select_responses(many, embeddings, config(strategy, k), seed=0)
    monkeypatch.setattr("prefopt_core.selection.batches.ROWS", 1)
    alone = select_responses(
        many, embeddings.sample(fraction=1.0, seed=1, shuffle=True), config(strategy, k), seed=0
    )
    assert alone.equals(at_once)


def test_similarity_can_be_of_the_wording():
    some = sampled(a=["the cat sat here", "the cat sat there", "it rains", "it rains a lot"])
    given = SelectionConfig(strategy="diverse", similarity={"measure": "chrf"})
    selections = select_responses(some, None, given, seed=0)
    first, second = texts(selections, some)["a"]
    assert ("cat" in first) != ("cat" in second)
    assert selections["redundancy"].max() < 0.2


def test_similarity_can_be_a_given_matrix(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "def equal_length(texts):\n"
        "    n = np.array([len(t) for t in texts])\n"
        "    return 1.0 * (n == n[:, None])\n"
        "def wrong(texts):\n    return np.eye(1)\n"
        "def undefined(texts):\n    return np.full((len(texts), len(texts)), np.nan)\n"
    )
    some = sampled(a=["aa", "bb", "cc", "ddd"])

    def selected(function):
        named = {"measure": "function", "params": {"function": f"{tmp_path}/mine.py:{function}"}}
        given = SelectionConfig(strategy="aepo", similarity=named)
        return select_responses(some, None, given, seed=0)

    # aa and ddd: r = (2/3 + 0)/2, no redundancy; aa and bb: r = 2/3, redundancy 1
    assert texts(selected("equal_length"), some) == {"a": ["aa", "ddd"]}
    assert selected("equal_length")["representativeness"][0] == pytest.approx(1 / 3, abs=1e-6)
    with pytest.raises(
        DataError, match=r"mine\.py:wrong gave a matrix of \(1, 1\) for 4 responses"
    ):
        selected("wrong")
    with pytest.raises(DataError, match=r"similarity of 'aa' to 'aa' is nan"):
        selected("undefined")


def test_ranks_begin_with_the_best_pair_of_the_selected():
    embeddings = embedded(THREE)
    four = select_responses(THREE, embeddings, config(k=4), seed=0).filter(prompt_id="c")
    distinct = THREE.filter(prompt_id="c").select("candidate_id").unique(maintain_order=True)
    vectors = distinct.join(embeddings, "candidate_id", maintain_order="left")["vector"]
    everything = cosine(unpack(vectors))
    place = [distinct["candidate_id"].to_list().index(i) for i in four["candidate_id"]]
    pairs = [[place[i], place[j]] for i in range(4) for j in range(i)]
    best = objective(everything, np.array(pairs), 1.0)
    assert sorted(pairs[int(best.argmax())]) == sorted(place[:2])


@pytest.mark.parametrize("allocation", ["coverage", "objective"])
def test_labels_can_go_where_they_add_most(allocation):
    # Prompt a: one cluster, which a pair covers; prompt b: four directions, one for each label.
    some = sampled(a=["a1", "a2", "a3", "a4"], b=["b1", "b2", "b3", "b4"])
    a = np.array([[1, 0.01 * i, 0, 0] for i in range(4)])
    vectors = np.vstack([a, np.eye(4)])
    embeddings = pl.DataFrame({"candidate_id": some["candidate_id"], "vector": pack(vectors)})
    given = SelectionConfig(k=4, allocation=allocation)
    selections = select_responses(some, embeddings, given, seed=0)
    assert check_table("selections", selections).equals(selections)
    gains = dict(selections.group_by("prompt_id", maintain_order=True).agg("gain").iter_rows())
    if allocation == "coverage":
        assert gains["a"] == pytest.approx([0, 1, 0, 0], abs=1e-3)
        assert gains["b"] == pytest.approx([0, 0.5, 0.25, 0.25], abs=1e-3)
    for budget, expected in ((2, {"a": 2}), (4, {"a": 2, "b": 2}), (6, {"a": 2, "b": 4})):
        bought = within_budget(selections, budget, seed=0)
        assert bought.height <= budget
        if allocation == "coverage":
            assert dict(bought.group_by("prompt_id").len().iter_rows()) == expected
        assert bought["rank"].max() == bought.group_by("prompt_id").len()["len"].max() - 1


def test_allocation_cannot_buy_half_a_pair():
    given = SelectionConfig(k=3, allocation="coverage")
    selections = select_responses(THREE, embedded(THREE), given, seed=0)
    with pytest.raises(ConfigError, match="1 labels cannot pay for a pair"):
        within_budget(selections, 1, seed=0)


def test_gap_says_what_could_still_be_gained(monkeypatch):
    many = sampled(a=[f"{i}" for i in range(16)])
    embeddings = embedded(many)
    assert select_responses(many, embeddings, config(), seed=0)["gap"].to_list() == [0.0, 0.0]
    assert select_responses(many, embeddings, config(k=6), seed=0)["gap"].unique().to_list() == [0]
    monkeypatch.setattr("prefopt_core.selection.best_subset.ALWAYS", 0)
    monkeypatch.setattr("prefopt_core.selection.best_subset.EFFORT", 0)
    given_up = select_responses(many, embeddings, config(k=6), seed=0)
    assert given_up["gap"].min() > 0
    assert select_responses(many, embeddings, config("random"), seed=0)["gap"].null_count() == 2


def test_shards_have_the_same_columns_whatever_is_in_them():
    alike, apart = sampled(a=["same"] * 4), sampled(b=["one", "two", "three"])
    for given in (config(), SelectionConfig(allocation="coverage", k=3)):
        parts = [select_responses(some, embedded(some), given, seed=0) for some in (alike, apart)]
        assert parts[0].is_empty()
        assert parts[0].schema == parts[1].schema


def test_ranks_follow_the_diversity_weight_of_the_run():
    similarity = np.array(
        [[1, 0.9, 0.2, 0.1], [0.9, 1, 0.3, 0.2], [0.2, 0.3, 1, 0.4], [0.1, 0.2, 0.4, 1]]
    )
    root = np.linalg.cholesky(similarity)  # rows whose cosines these are
    some = sampled(a=["0", "1", "2", "3"])
    embeddings = pl.DataFrame({"candidate_id": some["candidate_id"], "vector": pack(root)})
    chosen = select_responses(some, embeddings, config(k=3, diversity_weight=0.0), seed=0)
    assert set(texts(chosen, some)["a"][:2]) == {"0", "1"}


def test_allocation_that_would_buy_nothing_says_so():
    two = sampled(a=["one", "two"], b=["three", "four"])
    given = SelectionConfig(k=2, allocation="objective")  # of two, it is 0 at λ = 1
    selections = select_responses(two, embedded(two), given, seed=0)
    with pytest.raises(ConfigError, match=r"No label adds anything.*'coverage' or 'fixed'"):
        within_budget(selections, 4, seed=0)
