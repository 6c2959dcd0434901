"""What is refused, and in which words findings are said."""

import pytest
from pydantic import ValidationError

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.tables import check_table
from prefopt_core.inputs.preferences import read_preferences
from prefopt_core.lint import LINTS, Known
from prefopt_core.lint.reading import read_pairs
from prefopt_core.lint.settings import LintConfig
from prefopt_core.lint.table import lint_pairs, rows_of, warnings_of


@pytest.fixture
def bad(write, good):
    """A file with two pairs that contradict each other and two that go on amid a sentence."""
    good[4] = good[3] | {"chosen": good[3]["rejected"], "rejected": good[3]["chosen"]}
    for row in good[10:12]:
        row["chosen"] += " And then the"
    return write("pairs.jsonl", good)


def test_findings_are_warnings_with_count_rows_and_what_to_do(bad):
    config = LintConfig()
    findings = check_table("findings", lint_pairs(read_preferences(bad), config, Known()))
    contradiction, truncated = warnings_of(findings, config)
    assert contradiction == (
        "2 of 200 pairs contradict another one: to the same prompt it has the same responses the "
        "other way round (rows 4, 5). Keep the one that is meant; of several annotators, what most "
        "of them say."
    )
    assert truncated.startswith("2 of 398 responses end amid a sentence, 2 of them chosen (rows 11")


def test_what_is_refused_ends_the_run_with_the_setting_that_did(bad):
    config = LintConfig(refuse=["truncated"])
    findings = lint_pairs(read_preferences(bad), config, Known())
    with pytest.raises(DataError, match=r"^2 of 398 .*\(`lint.refuse` has 'truncated'.\)$"):
        warnings_of(findings, config)


def test_what_is_skipped_is_not_looked_for_even_if_it_is_refused(bad):
    config = LintConfig(skip=["truncated", "contradiction"], refuse=["truncated"])
    findings = lint_pairs(read_preferences(bad), config, Known())
    assert findings.is_empty()
    assert warnings_of(findings, config) == []


def test_rows_are_written_out_with_their_texts_and_places(bad, good, write):
    good[0] = {"instruction": ["Hi"], "chosen": "Only this."}
    read = read_pairs(write("pairs.jsonl", good))
    findings = lint_pairs(read.pairs, LintConfig(), Known(malformed=read.malformed))
    rows = rows_of(findings, read)
    assert rows["lint"].to_list() == ["contradiction"] * 2 + ["malformed"] + ["truncated"] * 2
    assert rows["where"].to_list() == ["line 4", "line 5", "line 1", "line 11", "line 12"]
    assert rows["chosen"][3].endswith(" And then the")
    assert rows.select("prompt", "chosen", "rejected").row(2) == ('["Hi"]', "Only this.", None)


def test_an_unknown_lint_is_refused_by_name():
    message = r"There is no lint 'identicl'\. Did you mean 'identical'\?"
    with pytest.raises(ValidationError, match=message):
        LintConfig(refuse=["identicl"])


def test_what_is_refused_is_not_part_of_the_key_but_what_is_looked_for_is():
    key = LintConfig().key_part()
    assert list(key) == list(LINTS)
    assert LintConfig(refuse=["cycle"]).key_part() == key != LintConfig(skip=["cycle"]).key_part()
