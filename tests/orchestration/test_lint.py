"""`prefopt lint`, and lint in a run: what is said, what is refused, and the exit status."""

import re

import polars as pl
import pytest
import yaml

GOOD = {"prompt": "Why?", "chosen": "It is so.", "rejected": "No idea."}
SAME = GOOD | {"rejected": "It is so."}
CUT = GOOD | {"rejected": "It is, and the"}


@pytest.fixture
def aepo(prefopt, given_candidates, write, store):
    """Run `aepo` on given candidates that end amid a sentence, with a section `lint`."""
    path = given_candidates["generation"]["params"]["path"]
    pl.read_csv(path).with_columns(pl.col("response") + " and the").write_csv(path)

    def aepo(**lint):
        config = write("aepo.yaml", yaml.safe_dump(given_candidates | {"lint": lint}))
        return prefopt("run", config, "--no-server")

    return aepo


def test_the_exit_status_says_whether_something_is_refused(prefopt, write):
    for rows, options, status in (
        ([GOOD], [], 0),
        ([GOOD, CUT], [], 0),
        ([GOOD, CUT], ["--refuse", "truncated"], 1),
        ([GOOD, SAME], [], 1),
        ([GOOD, SAME], ["--skip", "identical"], 0),
        ([GOOD | {"chosen": ""}, GOOD], [], 1),
    ):
        code, _, error = prefopt("lint", write("pairs.jsonl", rows), *options)
        assert (code, error) == (status, "")


def test_each_finding_is_printed_with_its_rows_and_what_to_do(prefopt, write, tmp_path):
    pairs, rows = write("pairs.jsonl", [GOOD, SAME, CUT]), tmp_path / "rows.csv"
    _, output, _ = prefopt("lint", pairs, "--output", rows)
    said = " ".join(output.replace("│", " ").split())
    assert "identical (refused) 33.3 % 1 of 3 pairs have the same text as chosen and as" in said
    assert "(line 2). Remove them: they teach nothing." in said
    assert "3 pairs, 2 findings, 1 of them refused" in said
    written = pl.read_csv(rows)
    assert written.select("lint", "where").rows() == [
        ("identical", "line 2"),
        ("truncated", "line 3"),
    ]
    assert written["rejected"].to_list() == [SAME["rejected"], CUT["rejected"]]


def test_prompts_of_the_test_are_looked_for_in_another_file(prefopt, write):
    pairs, test = write("pairs.jsonl", [GOOD]), write("test.csv", "prompt\nWhy?\nHow?\n")
    without, beside = prefopt("lint", pairs)[1], prefopt("lint", pairs, "--against", test)[1]
    assert "leaked_prompt needs the prompts of the test" in without
    assert "needs the prompts" not in beside
    assert "1 of 1 pairs" in beside
    assert prefopt("lint", pairs, "--against", test, "--refuse", "leaked_prompt")[0] == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing.csv"], "There is no file nothing.csv"),
        (["nothing"], "holds nothing named 'nothing'"),
        (["x.csv", "--refuse", "identicl"], "no lint 'identicl'. Did you mean 'identical'"),
    ],
    ids=["file", "name", "lint"],
)
def test_what_cannot_be_looked_at_is_an_error(prefopt, store, words, message):
    code, _, error = prefopt("lint", *words)
    assert code == 2
    assert message in error


@pytest.mark.slow
def test_a_run_warns_of_its_pairs_each_time_and_on_its_page(aepo, store, prefopt):
    first, again = aepo(), aepo()
    (page,) = store.root.glob("runs/*/report.html")
    for text in (first[1], again[1], page.read_text()):
        assert "Round 1: 8 of 8 responses end amid a sentence, 4 of them chosen (rows 1" in text
    assert "● lint" in again[1]
    for words in ([], ["pair"]):
        code, output, _ = prefopt("lint", *words)
        assert code == 0
        assert re.search(r"4 pairs( of \S+)?, 1 finding", output)
    assert "8 verdicts, 0 findings" in prefopt("lint", "annotate")[1]


@pytest.mark.slow
def test_a_run_ends_at_what_it_is_to_refuse_and_goes_on_without(aepo):
    code, output, error = aepo(refuse=["truncated"])
    assert code == 2
    assert "prefopt: 8 of 8 responses end amid a sentence" in error
    assert "`lint.refuse` has 'truncated'" in error
    code, output, _ = aepo(skip=["truncated"])
    assert code == 0
    assert "amid a sentence" not in output
    assert "● annotate" in output  # its labels are there
