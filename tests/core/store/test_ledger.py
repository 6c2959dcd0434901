"""A ledger is read by its owner only; something else in its place is no matter of space."""

import os
import stat

import pytest

from prefopt_core.ground.errors import StoreError
from prefopt_core.store.sqlite_file import ledger

SCHEMA = "CREATE TABLE IF NOT EXISTS kept (name TEXT)"


@pytest.fixture
def path(tmp_path):
    before = os.umask(0)
    yield tmp_path / "labels.sqlite"
    os.umask(before)


def modes(path):
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}


@pytest.mark.parametrize("earlier", [False, True])
def test_neither_a_ledger_nor_its_log_is_readable_by_others(path, earlier):
    if earlier:
        with ledger(path, SCHEMA, "labels") as connection:
            connection.execute("INSERT INTO kept VALUES ('one')")
            for file in path.parent.iterdir():
                file.chmod(0o666)
    with ledger(path, SCHEMA, "labels") as connection:
        connection.execute("INSERT INTO kept VALUES ('two')")
        names = ("labels.sqlite", "labels.sqlite-wal", "labels.sqlite-shm")
        assert modes(path) == dict.fromkeys(names, 0o600)
    assert modes(path) == {"labels.sqlite": 0o600}


@pytest.mark.parametrize("stand_in", [os.mkdir, os.mkfifo, lambda path: path.symlink_to(path)])
def test_what_is_no_file_is_to_be_moved_away(path, stand_in):
    stand_in(path)
    words = rf"{path}: .* It is no file\. .* move it away .* `prefopt labels rebuild`"
    with pytest.raises(StoreError, match=words), ledger(path, SCHEMA, "labels"):
        pass
