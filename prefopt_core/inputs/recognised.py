"""What a file is that prefopt does not read, and what makes it one that it reads."""

from pathlib import Path

_UTF8 = "save it as UTF-8 text"
_UNPACK = "unpack it first"
_SIGNS: tuple[tuple[bytes, str, str], ...] = (
    (b"\xff\xfe", "UTF-16 text", _UTF8),
    (b"\xfe\xff", "UTF-16 text", _UTF8),
    (b"\x1f\x8b", "compressed by gzip", f"{_UNPACK}: `gunzip`"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", f"{_UNPACK}: `unzstd`"),
    (b"BZh", "compressed by bzip2", f"{_UNPACK}: `bunzip2`"),
    (b"\xfd7zXZ", "compressed by xz", f"{_UNPACK}: `unxz`"),
    (b"PK\x03\x04", "a ZIP archive or a spreadsheet", "unpack it, or save the sheet as CSV"),
    (b"PAR1", "Parquet", "let its name end in .parquet"),
    (b"ARROW1", "Arrow IPC (Feather)", "write it as Parquet"),
    (b"SQLite format 3", "an SQLite database", "write its rows as JSONL"),
    (b"%PDF", "a PDF", "write its rows as JSONL"),
    (
        b"version https://git-lfs",
        "the pointer of Git LFS, not the file itself",
        "run `git lfs pull` where it was cloned",
    ),
    (b"<!doctype html", "a page of HTML", "download the raw file, not the page that shows it"),
    (b"<html", "a page of HTML", "download the raw file, not the page that shows it"),
)
"""(how it begins, in lower case; what it is; what to do)."""

_ENDINGS = {
    ".ndjson": "Those are JSON lines: let its name end in .jsonl",
    ".tsv": "Save it as CSV, with commas",
    ".gz": "Unpack it first: `gunzip`",
    ".zst": "Unpack it first: `unzstd`",
    ".xz": "Unpack it first: `unxz`",
    ".bz2": "Unpack it first: `bunzip2`",
    ".zip": "Unpack it first: `unzip`",
    ".xlsx": "Save the sheet as CSV",
    ".xls": "Save the sheet as CSV",
    ".arrow": "Write it as Parquet: `datasets.load_from_disk(FOLDER).to_parquet(FILE)`",
    ".feather": "Write it as Parquet",
}


def what_it_is(beginning: bytes, but: str = "") -> tuple[str, str] | None:
    """What a file is by its first bytes, and what to do; None if nothing speaks against text.

    Args:
        beginning: The first bytes of the file, some hundred.
        but: What the file may be.

    >>> what_it_is(b"version https://git-lfs.github.com/spec/v1")[0]
    'the pointer of Git LFS, not the file itself'
    """
    start = beginning.lower()
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    for sign, what, remedy in _SIGNS:
        if what != but and (start.startswith(sign.lower()) or text.startswith(sign.lower())):
            return what, remedy
    if b"\x00" in beginning and not but:
        halves = beginning[::2].count(0), beginning[1::2].count(0)
        if max(halves) > len(beginning) // 8 and min(halves) == 0:
            return "UTF-16 text without a mark", _UTF8
        return "no text: it holds NUL bytes", "remove them, or write the file again"
    return None


def advice_on_ending(path: Path) -> str:
    """What to do about a file whose ending prefopt does not read."""
    return _ENDINGS.get(path.suffix.lower(), "Convert it")


def advice_on_folder(path: Path) -> str:
    """What to name in place of a folder."""
    endings = (".jsonl", ".json", ".csv", ".parquet")
    found = sorted(p.name for p in path.iterdir() if p.suffix.lower() in endings)
    if not found:
        return "Give the path of a .jsonl, .json, .csv or .parquet"
    return f"Name one file in it: {', '.join(found[:3])}{', …' if found[3:] else ''}"
