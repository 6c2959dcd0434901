"""A whole run whose every path has signs in it gives what it gives elsewhere."""

import ast
import shutil
from pathlib import Path

import polars as pl
import pytest

from prefopt_core.store import maintenance
from prefopt_core.store.store import Store

ODD = "a[1] b*?~%20#{x,y}=ü"


REPOSITORY = Path(__file__).parents[2]


@pytest.mark.slow
def test_polars_never_takes_a_path_for_a_pattern():
    """Its readers glob unless told otherwise; the CSV's and JSON's cannot be told."""
    found = []
    for package in ("flows", "tasks", "prefopt_core", "benchmarks"):
        for file in (REPOSITORY / package).rglob("*.py"):
            for call in ast.walk(ast.parse(file.read_text())):
                if isinstance(call, ast.Call) and _reads(ast.unparse(call)):
                    found.append(f"{file.name}: {ast.unparse(call)}")
    assert found == []


def _reads(call):
    """Whether polars reads what a path names, and could find more than one file."""
    reader = call.partition("(")[0]
    names = [f"pl.{verb}_{kind}" for verb in ("read", "scan") for kind in FORMATS]
    return (
        reader in names
        and "glob=False" not in call
        and "read_bytes()" not in call
        and "BytesIO(" not in call
    )


FORMATS = ("parquet", "csv", "ndjson", "json", "ipc", "lines")


@pytest.mark.slow
def test_a_run_in_odd_folders_is_the_same_run(settings, run, store, tmp_path, monkeypatch):
    settings["training"]["lora"] = {"r": 4, "merge": False}
    plain = run(settings)

    odd = tmp_path / ODD
    model, prompts, scorer = odd / "model[1]", odd / "pool[1].parquet", odd / "score[1].py"
    shutil.copytree(settings["policy"]["params"]["path"], model)
    prompts_csv = settings["prompts"]["params"]["path"]
    pl.read_csv(prompts_csv).write_parquet(prompts)
    pl.DataFrame({"prompt": ["Another pool?"] * 24}).write_parquet(odd / "pool1.parquet")
    function = settings["annotation"]["params"]["function"].partition(":")[0]
    shutil.copy(function, scorer)

    settings["policy"]["params"]["path"] = str(model)
    settings["prompts"]["params"]["path"] = str(prompts)
    settings["annotation"]["params"]["function"] = f"{scorer}:score"
    settings["evaluation"]["params"]["function"] = f"{scorer}:gold"
    monkeypatch.setenv("PREFOPT_STORE", str(odd / "st[o]re"))
    again = run(settings)

    assert again.preferences.digest == plain.preferences.digest
    assert Path(again.report).is_file()
    there = Store(odd / "st[o]re")
    assert there.folder_path(again.policy).is_dir()
    assert not any(problem for _, problem in maintenance.verify(there))
