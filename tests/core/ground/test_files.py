"""Files that are complete or absent, and known by their bytes."""

import hashlib
import os

import pytest

from prefopt_core.ground.errors import StoreError
from prefopt_core.ground.files import content_digest, explained, file_digest, publish, temporary


def test_unfinished_file_goes_with_an_error_and_is_not_found_before(tmp_path):
    def fail():
        with temporary(tmp_path / "new") as path:
            path.write_text("half")
            assert path.name.startswith(".tmp-")
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list((tmp_path / "new").iterdir()) == []


def test_published_file_has_only_its_final_name(tmp_path):
    with temporary(tmp_path) as path:
        path.write_text("whole")
        publish(path, tmp_path / "sub" / "name")
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")] == ["sub", "sub/name"]
    assert (tmp_path / "sub" / "name").read_text() == "whole"


def test_digest_of_a_file_follows_its_bytes(tmp_path):
    path = tmp_path / "file"
    for text in ("one", "two", ""):
        path.write_text(text)
        os.utime(path, ns=(0, len(text) + ord(text[:1] or "0")))  # faster than the clock ticks
        assert file_digest(path) == (hashlib.sha256(text.encode()).hexdigest(), len(text))


def test_digest_of_a_folder_is_that_of_names_and_bytes(tmp_path):
    def folder(name, **files):
        (tmp_path / name / "sub").mkdir(parents=True)
        for file, text in files.items():
            (tmp_path / name / "sub" / file).write_text(text)
        return content_digest(tmp_path / name)

    assert folder("a", x="1", y="2") == folder("b", y="2", x="1")
    assert len({folder("c", x="1"), folder("d", x="2"), folder("e", y="1"), folder("f")}) == 4


@pytest.mark.parametrize("name", ["absent", "org/model", "x" * 300, "nul\0"])
def test_what_is_no_file_has_no_digest(tmp_path, name):
    assert content_digest(tmp_path / name) is None


def test_only_refusals_to_write_are_explained(tmp_path):
    message = rf"{tmp_path}/a/b .*user may not write there.*PREFOPT_STORE"
    with pytest.raises(StoreError, match=message), explained(tmp_path / "a" / "b"):
        raise PermissionError(13, "no")
    with pytest.raises(FileNotFoundError), explained(tmp_path):
        (tmp_path / "absent").read_text()
    with pytest.raises(RuntimeError, match="Reader failed"), explained(tmp_path):
        raise RuntimeError("[enforce fail at inline_container.cc:145] . PytorchStreamReader failed")


@pytest.mark.parametrize(
    ("error", "message"),
    [  # as safetensors, polars and torch were seen to raise them
        (Exception("I/O error: No space left on device (os error 28)"), "disk is full"),
        (Exception("File too large (os error 27)"), "may not be as large"),
        (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos"), "is full"),
        (RuntimeError("PytorchStreamWriter failed (inline_container.cc:778)"), "is full"),
    ],
)
def test_libraries_have_errors_of_their_own_for_it(tmp_path, error, message):
    with pytest.raises(StoreError, match=message), explained(tmp_path):
        raise error
