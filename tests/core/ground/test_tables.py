"""Contracts of the tables, and ids that are the same in every run and on every machine."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import candidate_id_of, digest_of, prompt_id_of
from prefopt_core.ground.tables import TABLES, check_table, empty, in_shards, rows_of

SELECTIONS = pl.DataFrame(
    [("p", "a", 0, 0.5, None, 0.0), ("p", "b", 1, 0.5, 0.1, 0.0)],
    schema=TABLES["selections"].columns,
    orient="row",
)


def user(text):
    return {"role": "user", "content": text}


@pytest.mark.parametrize("name", TABLES)
def test_contract_holds_for_the_empty_table(name):
    frame = empty(name)
    assert check_table(name, frame).schema == TABLES[name].columns


@pytest.mark.parametrize("name", TABLES)
def test_key_and_nullable_columns_are_columns(name):
    contract = TABLES[name]
    assert set(contract.key) <= contract.columns.keys()
    every = contract.columns.keys() | contract.optional.keys()
    assert contract.nullable <= every - set(contract.key)
    assert not contract.columns.keys() & contract.optional.keys()


def test_columns_come_back_in_the_order_of_the_contract():
    mixed = SELECTIONS.select(reversed(SELECTIONS.columns))
    assert check_table("selections", mixed).equals(SELECTIONS)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda f: f.drop("rank"), r"missing \['rank'\]"),
        (lambda f: f.with_columns(note=1, more=2), r"unexpected \['more', 'note'\]"),
        (lambda f: f.with_columns(pl.col("rank").cast(pl.Int64)), "rank is Int64, not Int32"),
        (lambda f: f.with_columns(rank=pl.lit(None, pl.Int32)), "2 missing values in rank"),
        (lambda f: f.with_columns(candidate_id=pl.lit("a")), "share their key prompt_id, cand"),
        (lambda f: f.rename({"rank": "place"}), r"missing \['rank'\]; unexpected \['place'\]"),
    ],
)
def test_broken_contract_names_the_table_the_problem_and_the_place_to_look(change, problem):
    message = rf"Table 'selections' breaks its contract: .*{problem}.*ground/tables\.py"
    with pytest.raises(DataError, match=message):
        check_table("selections", change(SELECTIONS))


def test_optional_columns_are_there_or_not_but_have_their_type():
    frame = empty("preferences")
    with_logps = frame.with_columns(ref_chosen_logps=pl.lit(None, pl.Float64))
    assert check_table("preferences", with_logps).columns == [*frame.columns, "ref_chosen_logps"]
    with pytest.raises(DataError, match="ref_chosen_logps is String, not Float64"):
        check_table("preferences", frame.with_columns(ref_chosen_logps=pl.lit("")))


@given(st.integers(0, 40), st.integers(1, 12))
def test_shards_are_the_table_in_order_and_only_the_last_is_short(rows, size):
    frame = pl.DataFrame({"number": range(rows)}, schema={"number": pl.Int64})
    shards = in_shards(frame, size)
    assert pl.concat(shards).equals(frame)
    assert [shard.height for shard in shards[:-1]] == [size] * (len(shards) - 1)
    assert shards[-1].height <= size
    assert shards[-1].height > 0 or rows == 0


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 12))
def test_appending_rows_leaves_full_shards_as_they_are(rows, more, size):
    before = in_shards(pl.DataFrame({"number": range(rows)}), size)
    after = in_shards(pl.DataFrame({"number": range(rows + more)}), size)
    full = rows // size
    assert all(a.equals(b) for a, b in zip(before[:full], after[:full], strict=True))


def test_ids_are_what_they_always_were():
    # A change here gives every prompt and response another id: no stored result would be found.
    prompt_id = prompt_id_of([user("Why is the sky blue?")])
    assert prompt_id == "a0e3bbb0675b1dce371cca04"
    assert candidate_id_of(prompt_id, "Rayleigh scattering.") == "2e7d60ba5d666cd6a330562f"


short_texts = st.lists(st.text('a,"', max_size=2), max_size=3)  # so that they often nearly agree


@given(short_texts, short_texts)
def test_different_texts_have_different_digests(one, other):
    assert (digest_of(*one) == digest_of(*other)) == (one == other)


def test_roles_and_turns_are_part_of_a_prompt():
    turns = [[user("a")], [user("a"), user("b")], [user("ab")], [{**user("a"), "role": "system"}]]
    assert len({prompt_id_of(prompt) for prompt in turns}) == len(turns)


def test_order_of_a_messages_fields_is_no_part_of_a_prompt():
    assert prompt_id_of([{"content": "a", "role": "user"}]) == prompt_id_of([user("a")])


def test_text_that_is_not_unicode_has_an_id():
    assert len(candidate_id_of("p", "half a pair: \ud83d")) == 24


def test_rows_of_candidates_come_once_and_in_the_order_of_the_table(tmp_path):
    ids = [f"{number:032}" for number in range(64)]
    table = pl.DataFrame({"candidate_id": ids, "response": [i * 1000 for i in ids]})
    table.write_parquet(tmp_path / "shard.parquet")
    scanned = pl.scan_parquet(tmp_path / "shard.parquet")
    kept = rows_of(scanned, pl.Series([ids[7], ids[3], ids[7]]))
    assert kept.rows() == [table.row(3), table.row(7)]
