"""What is read and written again reads back the same, or is refused; never something else.

And a column more, whatever is in it, changes nothing or is refused.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from prefopt_core.export.preferences import export_preferences
from prefopt_core.export.rows import selected_rows, write_rows
from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import candidate_id_of, prompt_id_of
from prefopt_core.ground.tables import TABLES
from prefopt_core.inputs.candidates import read_candidates
from prefopt_core.inputs.preferences import read_preferences
from prefopt_core.inputs.prompts import from_file
from prefopt_core.labels.asked import Asked

ODD = [
    "nan", "None", "1.0", "[1, 2]", "b'x'", "['a']", '{"a": 1}', "{'a': 1}", "a,b;c\td", '"', "''",
    "x\r\ny\u2028z", "Human: a\n\nAssistant: b", "</s>", "array([1])", " left", "right ", "\\n",
]  # fmt: skip
characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
texts = st.one_of(st.text(characters, min_size=1), st.sampled_from(ODD)).filter(str.strip)
roles = st.lists(st.sampled_from(["user", "assistant"]), max_size=2)


@st.composite
def prompts(draw):
    """Messages that end with the user's, some with a system message and earlier turns."""
    said = [*(["system"] if draw(st.booleans()) else []), *draw(roles), "user"]
    return [{"role": role, "content": draw(texts)} for role in said]


def answer(text):
    return [{"role": "assistant", "content": text}]


def rendered(tokenizer, prompt, response):
    return tokenizer.apply_chat_template([*prompt, *answer(response)])["input_ids"]


@settings(max_examples=60)
@given(prompt=prompts(), chosen=texts, rejected=texts, form=st.sampled_from(["parquet", "jsonl"]))
def test_exported_preferences_render_to_the_same_tokens(
    tiny_tokenizer, prompt, chosen, rejected, form
):
    assume(chosen != rejected)
    prompt_id = prompt_id_of(prompt)
    ids = [candidate_id_of(prompt_id, text) for text in (chosen, rejected)]
    row = (prompt_id, prompt, answer(chosen), answer(rejected), *ids, "me", "gold", 1.0, 1.0, 0)
    table = pl.DataFrame([row], schema=TABLES["preferences"].columns, orient="row")
    with TemporaryDirectory() as folder:
        path = export_preferences(table, Path(folder), form)
        (read,) = read_preferences(path).iter_rows(named=True)
    for side, text in {"chosen": chosen, "rejected": rejected}.items():
        before = rendered(tiny_tokenizer, prompt, text)
        assert rendered(tiny_tokenizer, read["prompt"], read[side][0]["content"]) == before
        assert read[f"{side}_id"] == candidate_id_of(prompt_id, text)


@settings(max_examples=60)
@given(prompt=texts, chosen=texts, rejected=texts)
def test_pairs_exported_as_texts_read_back_the_same_or_are_refused(prompt, chosen, rejected):
    assume(chosen != rejected)
    with TemporaryDirectory() as folder:
        path = Path(folder, "s.jsonl")
        row = {"prompt": prompt, "chosen": chosen, "rejected": rejected}
        path.write_text(json.dumps(row))
        try:
            (read,) = read_preferences(path).iter_rows(named=True)
        except DataError:
            return
    said = {side: read[side][-1]["content"] for side in ("prompt", "chosen", "rejected")}
    assert said == row


ENDINGS = st.sampled_from([".csv", ".jsonl", ".parquet"])


@settings(max_examples=100)
@given(prompt=prompts(), responses=st.lists(texts, min_size=2, max_size=3), ending=ENDINGS)
@example([{"role": "user", "content": "a\rb"}], ["x\ny", 'say "hi"'], ".csv")
def test_selected_rows_are_candidates_again(tiny_tokenizer, prompt, responses, ending):
    prompt_id = prompt_id_of(prompt)
    ids = [candidate_id_of(prompt_id, text) for text in responses]
    assume(len(set(ids)) == len(ids))
    schema = TABLES["candidates"].columns
    rows = [
        {"prompt_id": prompt_id, "candidate_id": i, "sample": n, "response": text, "policy": "me"}
        for n, (i, text) in enumerate(zip(ids, responses, strict=True))
    ]
    table = Asked(
        selections=pl.DataFrame(
            [(prompt_id, i, n, None, None, None) for n, i in enumerate(ids)],
            schema=TABLES["selections"].columns,
            orient="row",
        ),
        candidates=pl.DataFrame(rows, schema=schema),
        prompts=pl.DataFrame([(prompt_id, prompt)], schema=TABLES["prompts"].columns, orient="row"),
    )
    with TemporaryDirectory() as folder:
        path = Path(folder, f"chosen{ending}")
        write_rows(selected_rows(table), path)
        try:
            read = read_candidates(path, None, "error")
            (again,) = from_file(0, path=str(path))["prompt"].to_list()
        except DataError:
            return
    assert again == prompt
    assert [given.text for given in read[prompt_id]] == responses
    assert rendered(tiny_tokenizer, again, responses[0]) == rendered(
        tiny_tokenizer, prompt, responses[0]
    )


INDEX = st.just([0, 1])
VALUES = st.one_of(
    st.lists(texts, min_size=2, max_size=2),
    st.lists(st.floats(allow_nan=False), min_size=2, max_size=2),
    st.lists(st.lists(texts, max_size=2), min_size=2, max_size=2),
    st.just([None, None]),
    INDEX,
)
NAMES = st.one_of(
    st.text(characters, max_size=8),
    st.sampled_from(["", "index", "id", "input", "system", "history", "context", "model", "score"]),
)
TABLE = {"prompt": ["Hi", "Why?"], "0": ["Ho", "So"], "1": ["Hm", "No"]}


def read(columns, reader):
    """What a reader makes of the columns in a .jsonl, or None if it refuses."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "p.jsonl")
        rows = zip(*columns.values(), strict=True)
        path.write_text("\n".join(json.dumps(dict(zip(columns, r, strict=True))) for r in rows))
        try:
            return reader(path)
        except DataError:
            return None


def candidates(path):
    given = read_candidates(path, None, "error")
    return {prompt: [g.text for g in own] for prompt, own in given.items()}


def read_prompts(path):
    return from_file(0, path=str(path))["prompt"].to_list()


def pairs(path):
    return read_preferences(path).rows()


PAIRS = {"prompt": ["Hi", "Why?"], "chosen": ["Ho", "So"], "rejected": ["Hm", "No"]}


@pytest.mark.parametrize(
    ("columns", "reader"),
    [(TABLE, candidates), (TABLE, read_prompts), (PAIRS, pairs)],
    ids=["candidates", "prompts", "pairs"],
)
@settings(max_examples=80)
@given(name=NAMES, values=VALUES, first=st.booleans())
def test_a_column_more_changes_nothing_or_is_refused(columns, reader, name, values, first):
    assume(name not in columns and name not in ("system", "system_prompt", "history"))
    more = {name: values} | columns if first else columns | {name: values}
    assert read(more, reader) in (read(columns, reader), None)


@settings(max_examples=40)
@given(values=VALUES)
def test_a_column_that_belongs_to_the_prompt_changes_it_or_is_empty(values):
    """`system` is a system message, or refused; it is never dropped unless it says nothing."""
    before = read(TABLE, read_prompts)
    after = read(TABLE | {"system": values}, read_prompts)
    says_something = [value not in (None, [], "", "[]", "{}") for value in values]
    assert after is None or [a != b for a, b in zip(after, before, strict=True)] == says_something
