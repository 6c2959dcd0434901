"""A small seeded slice of `python -m benchmarks.fuzz`, and what larger ones have found."""

import signal
import time
from contextlib import suppress

import polars as pl
import pytest
from pydantic import ValidationError

from benchmarks.fuzz.readers import readers
from benchmarks.fuzz.trying import Reader, input_of, tried
from prefopt_core.annotation.judge_reading import verdict_in
from prefopt_core.annotation.judge_template import load_template
from prefopt_core.exchange import READERS
from prefopt_core.experiments.sources import load_run
from prefopt_core.experiments.yaml_text import read_yaml
from prefopt_core.ground.errors import ConfigError, DataError
from prefopt_core.inputs.files import read_rows
from prefopt_core.inputs.preferences import read_preferences
from prefopt_core.inputs.vectors import VectorFile
from prefopt_core.labels.words import NoVerdictError
from prefopt_core.labels.words import verdict_in as verdict_of_word
from prefopt_core.models.server.kept import ServedResponse

NUMBERS = range(25)


@pytest.fixture
def known(tmp_path):
    handler = signal.getsignal(signal.SIGALRM)
    yield readers(tmp_path)
    signal.signal(signal.SIGALRM, handler)


def test_every_reader_reads_good_input_and_refuses_what_is_broken_in_words(known):
    for name, reader in known.items():
        assert reader.seeds, name
        for seed in reader.seeds:
            reader.read(seed)
        outcome = tried(reader, name, 7, NUMBERS)
        assert outcome.findings == [], name
        assert outcome.counts.total() == len(NUMBERS)


def test_an_input_can_be_had_again_by_its_number(known):
    reader, name = known["manifest"], "manifest"
    first, again = ([input_of(reader, name, 7, number) for number in range(300)] for _ in "12")
    assert first == again
    assert len(set(first)) > 200


@pytest.mark.usefixtures("known")
def test_other_exceptions_and_endless_errors_are_findings():
    def raises(data):
        raise KeyError("x")

    def panics(data):
        raise pl.exceptions.PanicException("x")

    def tells_all(data):
        raise ConfigError("x") if len(data) < 0 else TypeError("y" * 9999)

    for read, told in ((raises, "KeyError: 'x'"), (panics, "PanicException"), (tells_all, "Type")):
        outcome = tried(Reader([b"1"], read), "mine", 0, [5])
        ((number, what),) = outcome.findings
        assert (number, what[: len(told)]) == (5, told)
        assert outcome.counts == {"other": 1}


def test_yaml_that_names_itself_often_is_refused_before_it_fills_the_memory():
    lines = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    start = time.monotonic()
    with pytest.raises(ConfigError, match="more than 100,000 values"):
        read_yaml("\n".join(["a0: &a0 [1]", *lines]), "run.yaml")
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("text", ["{[1]: 2}", "{{a: 1}: 2}", "? [1]\n: 2\n? [1]\n: 3"])
def test_yaml_with_a_list_for_a_name_is_refused(text):
    with pytest.raises(
        ConfigError, match=r"run\.yaml is not YAML, line 1: the name of a setting is a list"
    ):
        read_yaml(text, "run.yaml")


@pytest.mark.parametrize("text", ["a: " + "[" * 5000, "a: " + '{"b":' * 5000, "- " * 5000])
def test_yaml_that_is_nested_without_end_is_refused_at_once(text):
    start = time.monotonic()
    with pytest.raises(ConfigError, match=r"line 1: it is nested more than 100 deep"):
        read_yaml(text, "run.yaml")
    assert time.monotonic() - start < 2


ODD = {
    "a number": "1: 2\n",
    "yes": "on: {annotator: function}\n",
    "nothing": "~: 1\n",
    "a section for a name": "policy: {source: {a: 1}}\n",
    "a name for a path": f"prompts: {{source: file, params: {{path: {'p' * 5000}}}}}\n",
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_a_config_with_odd_names_is_refused(write, text):
    good = next(seed for seed in readers(write("x", "").parent)["config (YAML)"].seeds[::-1])
    with pytest.raises((ConfigError, ValidationError)):
        load_run(str(write("run.yaml", good.decode().replace("budget: 8\n", "") + text)), {})


@pytest.mark.parametrize("word", ["[" * 5000, f"[1{'0' * 400}]", "[[1]]"])
def test_scores_that_are_no_numbers_are_no_verdict(word):
    with pytest.raises(NoVerdictError):
        verdict_of_word(word, 1)


def test_a_cell_of_json_that_is_nested_without_end_is_refused(write, known):
    seed = known["labels: csv"].seeds[1].decode()
    path = write("labels.csv", seed.replace("Which?", f"[{{{'[' * 5000}"))
    with suppress(DataError):
        list(READERS["csv"](path))


@pytest.mark.parametrize("role", [["user"], {"role": "user"}, 3])
def test_a_role_that_is_no_text_is_refused(write, role):
    pair = {"chosen": [{"role": role, "content": "Hi?"}], "rejected": "No."}
    with pytest.raises(DataError, match="has the role"):
        read_preferences(write("pairs.jsonl", [pair]))


@pytest.mark.parametrize("place", [4, 12, 20, 40, 60])
def test_parquet_that_lies_about_itself_ends_in_no_panic(write, place):
    path = write("rows.parquet", [{"prompt": "Hi?", "v": [0.6, 0.8]}] * 3)
    good = path.read_bytes()
    path.write_bytes(good[:place] + b"\xff" * 30 + good[place + 30 :])
    for read in (read_rows, lambda path: [*VectorFile(path, "v").blocks()]):
        with suppress(DataError):
            read(path)


def test_a_message_quotes_no_whole_file_and_ends_with_what_to_do():
    error = ConfigError(f"This is wrong: {'x' * 100_000}. Do that.")
    assert len(str(error)) < 5000
    assert str(error).startswith("This is wrong: xx")
    assert str(error).endswith("xx. Do that.")


def test_an_infinite_rank_is_no_verdict(write, known):
    good = next(seed for seed in known["labels: argilla"].seeds if b'"rank"' in seed)
    path = write("labels.json", good.replace(b'"rank": 1', b'"rank": Infinity'))
    with pytest.raises(DataError, match=r"labels\.json"):
        list(READERS["argilla"](path))


def test_an_answer_of_many_braces_is_read_in_no_time():
    header = load_template("pairwise").header
    start = time.monotonic()
    assert verdict_in(ServedResponse('{"a":' * 100_000, "stop"), header) is None
    assert time.monotonic() - start < 1
