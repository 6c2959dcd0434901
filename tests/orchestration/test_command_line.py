"""The grammar of `prefopt`: what may be written, what is said of the rest, and the help pages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.cli import CACHE, LABELS, VERBS, app
from flows.terminal import called, from_here

ALL = {(name,): text for name, (_, text) in VERBS.items()} | {
    (group, name): text
    for group, verbs in (("cache", CACHE), ("labels", LABELS))
    for name, (_, text) in verbs.items()
}


def parsed(*words):
    """The arguments of the verb's function."""
    _, bound, _ = app.parse_args(words, print_error=False, exit_on_error=False)
    bound.apply_defaults()
    return bound.arguments


def _alone(code, tools):
    """What a fresh Python prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tools.repository, check=True, capture_output=True
    )
    return done.stdout.decode()


def test_help_waits_for_no_heavy_library(tools):
    code = """
import sys, time
from flows.cli import main
assert main(["--help"]) == 0
heavy = {"torch", "transformers", "prefect", "polars", "pyarrow", "numpy", "pydantic"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
assert not [name for name in sys.modules if name.startswith(("flows.verbs", "tasks"))]
assert time.process_time() < 1
"""
    assert "align language models" in _alone(code, tools).lower()


def test_help_of_a_verb_waits_for_neither_torch_nor_prefect(tools):
    code = f"""
import sys
from flows.cli import main
for verb in {list(ALL)}:
    assert main([*verb, "--help"]) == 0
assert not {{"torch", "transformers", "prefect"}} & set(sys.modules)
"""
    assert "--near-duplicates COSINE" in _alone(code, tools)


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]], ids=" ".join)
def test_the_help_page_has_a_line_for_every_verb(prefopt, words):
    code, output, error = prefopt(*words)
    assert (code, error) == (0, "")  # also when nothing is asked for
    lines = [line.strip("│ ") for line in output.splitlines()]
    shown = [line.split(maxsplit=1) for line in lines]
    for name, (_, text) in VERBS.items():
        assert [name, text] in shown
    assert "cache        look after the store" in lines
    assert lines[-1].startswith("Artifacts lie in the store: $PREFOPT_STORE")


def test_the_help_page_of_the_cache_has_a_line_for_every_action(prefopt):
    code, output, _ = prefopt("cache")
    assert code == 0
    assert all(name in output and text in output for name, (_, text) in CACHE.items())


@pytest.mark.parametrize(("verb", "text"), ALL.items(), ids=lambda words: " ".join(words)[:20])
def test_every_argument_is_explained(prefopt, verb, text):
    code, output, _ = prefopt(*verb, "--help")
    assert (code, text in output) == (0, True)
    command = app
    for name in verb:
        command = command[name]
    for argument in command.assemble_argument_collection():
        assert argument.parameter.help.partition(",")[0] in output


def test_settings_stand_before_or_behind_options():
    words = "run c.yaml a=1 --quiet b.c=2 --refresh embed d=x=y --refresh train --no-server e=-3"
    assert parsed(*words.split()) == {
        "config": "c.yaml",
        "changes": ("a=1", "b.c=2", "d=x=y", "e=-3"),
        "refresh": ("embed", "train"),
        "quiet": True,
        "no_server": True,
    }
    assert parsed("plan", "--refresh", "embed", "c", "a=1")["changes"] == ("a=1",)
    compare = parsed("compare", "budget=64", "--seeds", "3", "k=2", "--plan")
    assert (compare["preset"], compare["changes"], compare["seeds"]) == ("budget=64", ("k=2",), 3)


def test_what_is_left_out_has_its_default():
    assert parsed("list") == {"kind": None}
    pool = parsed("pool", "--count", "5", "x.csv")
    assert (pool["near_duplicates"], pool["strategy"], pool["output"]) == (
        0.95,
        "facility_location",
        None,
    )
    assert parsed("pool", "x.csv", "--count=5", "--near-duplicates", "1")["near_duplicates"] == 1
    assert parsed("show", "pair")["rows"] == 10


def test_an_option_given_twice_is_what_it_was_given_last():
    assert parsed("select", "x.csv", "--k", "2", "--k", "3")["k"] == 3


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("rnu", "no `prefopt rnu`. Did you mean 'run'?"),
        ("rnu --help", "Did you mean 'run'?"),
        ("--quiet", "no `prefopt --quiet`"),
        ("cache lss", "no `prefopt cache lss`. Did you mean 'ls'?"),
        ("run", "CONFIG"),
        ("run c --qiuet", "--qiuet. Did you mean --quiet?"),
        ("run c --no-quiet", "--no-quiet"),
        ("run c --refresh", "--refresh"),
        ("select x.csv --k x", "--k: 'x' is not a whole number"),
        ("select x.csv --k 2.5", "--k: '2.5' is not a whole number"),
        ("compare p --seeds none", "--seeds: 'none' is not a whole number"),
        ("select x.csv --empty dorp", '"dorp" for --empty'),
        ("select x.csv y.csv", "no further 'y.csv'"),
        ("pool x.csv", "--count"),
        ("pool x.csv --count", "--count"),
        ("pool x.csv --count 2 --near-duplicates x", "--near-duplicates"),
        ("export", "FOLDER"),
        ("cache rm", "STAGE"),
        ("doctor now", "no further 'now'"),
    ],
)
def test_what_cannot_be_parsed_ends_in_one_line(prefopt, line, said):
    code, output, error = prefopt(*line.split())
    assert (code, output) == (2, "")
    assert error.startswith("prefopt: ")
    assert said in error
    assert "--help`" in error
    assert error.count("\n") == 1


def test_a_misspelt_verb_imports_none(tools):
    code = """
import sys
from flows.cli import main
assert main(["rnu"]) == 2
assert not [name for name in sys.modules if name.startswith("flows.verbs")]
"""
    _alone(code, tools)


def test_a_long_path_stays_in_one_line(prefopt, store, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    path = "/nowhere/" + "long/" * 40 + "x.csv"
    for words in (["select", path], ["select", path, path], ["run", path]):
        code, _, error = prefopt(*words)
        assert (code, path in error, error.count("\n")) == (2, True, 1)


def test_what_to_type_next_is_what_can_be_typed_in_this_folder(tmp_path, monkeypatch):
    script = tmp_path / ".venv" / "bin" / "prefopt"
    script.parent.mkdir(parents=True)
    script.touch(mode=0o700)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(script)])
    monkeypatch.setenv("PATH", "")
    assert called() == ".venv/bin/prefopt"
    monkeypatch.setenv("PATH", str(script.parent))
    assert called() == "prefopt"
    monkeypatch.setenv("PATH", "")
    spaced = script.parent.rename(tmp_path / "my tools") / "prefopt"
    monkeypatch.setattr("sys.argv", [str(spaced)])
    assert called() == "'my tools/prefopt'"
    paths = (tmp_path / "out", "out", "s3://bucket/out", "/elsewhere")
    assert [*map(from_here, paths)] == ["out", "out", "s3://bucket/out", "/elsewhere"]


def test_an_interrupt_says_how_to_go_on(prefopt, monkeypatch):
    class Interrupted(dict):
        def __iter__(self):
            raise KeyboardInterrupt

    monkeypatch.setattr("flows.verbs.listing.FAMILIES", Interrupted())
    code, _, error = prefopt("list")
    assert (code, "goes on from here" in error) == (130, True)


def test_what_no_user_can_cause_is_not_hidden(prefopt, monkeypatch):
    monkeypatch.setattr("flows.verbs.listing.FAMILIES", {"odd": None})
    with pytest.raises(TypeError):
        prefopt("list")


def test_rows_to_show_are_not_negative(prefopt):
    code, _, error = prefopt("show", "select", "--rows", "-1")
    assert (code, error) == (2, "prefopt: --rows is -1: it takes 0 or more.\n")


@pytest.mark.slow
def test_a_reader_that_leaves_early_is_no_error_of_ours():
    command = f"{sys.executable} -m flows.cli list | head -1"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        command, shell=True, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == "flows:\n"
    assert done.stderr == ""


@pytest.mark.slow
def test_what_is_checked_before_a_server_starts_does_not_import_prefect(run_code):
    # Prefect reads the URL of its server when it is imported, and never again.
    code = (
        "import sys; from flows.lookup import stages_named as s; s(['train']); print(*sys.modules)"
    )
    assert "prefect" not in run_code(code).split()
