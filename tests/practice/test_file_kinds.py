"""Kinds of files.

What a file is, what was expected, and what to do.
"""

import gzip

import pytest

from prefopt_core.inputs.files import read_rows
from prefopt_core.inputs.prompts import from_file

ROWS = "prompt,topic\nHi,a\nWhy?,b\n"
LINES = '{"prompt": "Hi"}\n{"prompt": "Why?"}\n'
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 12345\n"
GERMAN = ROWS.replace("Hi", "Grüß Gott")


def case(situation, name, content, before, expected, reports="tried here"):
    mark = pytest.mark.case(situation, reports=reports, before=before, expected=expected)
    return pytest.param(name, content, marks=mark, id=situation)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        case(
            "A CSV with semicolons", "p.csv", ROWS.replace(",", ";"),
            "refused: no column 'prompt' among 'prompt;topic'. Set `column`…",
            "refused: p.csv: its cells are separated by semicolons…Save it with commas.",
        ),
        case(
            "A CSV with tabs", "p.csv", ROWS.replace(",", "\t"),
            "refused: no column 'prompt' among 'prompt\\ttopic'. Set `column`…",
            "refused: p.csv: its cells are separated by tabs…",
        ),
        case(
            "A row with more cells than the header, and one with less", "p.csv",
            "prompt,topic\nHi,a,b\nWhy?\n", "right",
            "refused: p.csv, row 1 has 3 cells; the header has 2…", "pola-rs/polars#10585",
        ),
        case(
            "A quotation mark within a cell", "p.csv", 'topic,prompt\n5" disk,Hi\nb,Why?\n',
            "right", "Hi, Why?", "pola-rs/polars#21519",
        ),
        case(
            "A quotation mark that is never closed", "p.csv", 'topic,prompt\n"a,Hi\nb,Why?\n',
            "right", "refused: p.csv, line 3: not CSV (unexpected end of data)…",
            "apple/turicreate#1692",
        ),
        case(
            "Semicolons and quotation marks", "p.csv", 'prompt;topic\n"Hi; you";a\n',
            "refused: not CSV, with the advice to double quotation marks",
            "refused: p.csv: its cells are separated by semicolons…",
        ),
        case(
            "An object on several lines", "p.jsonl", '{\n  "prompt": "Hi"\n}\n',
            "refused: not JSON",
            "refused: …line 1: not JSON…`jq -c .` of objects on several lines.",
        ),
        case(
            "A .tsv", "p.tsv", ROWS.replace(",", "\t"), "refused: convert it",
            "refused: …prefopt reads .jsonl, .json, .csv, .parquet. Save it as CSV, with commas.",
        ),
        case(
            "Excel's first line `sep=;`", "p.csv", "sep=;\n" + ROWS.replace(",", ";"),
            "refused: no column 'prompt' among 'sep=;'…", "refused: …separated by semicolons…",
        ),
        case(
            "UTF-16 with a mark", "p.csv", GERMAN.encode("utf-16"), "refused: not UTF-8",
            "refused: p.csv is UTF-16 text; expected CSV in UTF-8: save it as UTF-8 text.",
        ),
        case(
            "UTF-16 without a mark", "p.csv", ROWS.encode("utf-16-le"),
            "refused: row 3 has 1 cells; put double quotes around…",
            "refused: p.csv is UTF-16 text without a mark; expected CSV in UTF-8…",
        ),
        case(
            "JSON lines in UTF-16 without a mark", "p.jsonl", LINES.encode("utf-16-be"),
            "refused: not JSON", "refused: p.jsonl is UTF-16 text without a mark…",
        ),
        case(
            "Latin-1", "p.csv", GERMAN.encode("latin-1"), "refused: not UTF-8",
            "refused: p.csv is not UTF-8 text (line 2: …). Save it as UTF-8.",
        ),
        case("UTF-8 with a mark", "p.csv", "\ufeff" + ROWS, "right", "Hi, Why?", "–"),
        case("Lines that end with CR", "p.csv", ROWS.replace("\n", "\r"), "right", "Hi, Why?", "–"),
        case(
            "JSON lines that end with CR LF, with U+2028 in a text", "p.jsonl",
            '{"prompt": "a\u2028b"}\r\n{"prompt": "c"}\r\n', "right", "a\u2028b, c", "–",
        ),
        case(
            "A NUL character", "p.csv", ROWS.replace("Hi", "H\0i"), "read with the NUL",
            "refused: p.csv is no text: it holds NUL bytes…",
        ),
        case(
            "A .json, an array", "p.json", '[{"prompt": "Hi"}]', "refused: convert it", "Hi",
        ),
        case(
            "An array in a .jsonl", "p.jsonl", '[{"prompt": "Hi"}]',
            "refused: a list, not an object",
            "refused: …line 1: a list, not an object with columns. `jq -c '.[]'` makes lines…",
        ),
        case(
            "A key twice in one object", "p.jsonl", '{"prompt": "Hi", "prompt": "Ho"}\n',
            "the last was taken: Ho", "refused: …line 1: not JSON ('prompt' stands there twice)…",
        ),
        case(
            "A .jsonl.gz", "p.jsonl.gz", gzip.compress(LINES.encode()), "refused: convert it",
            "refused: …ends in '.gz'…Unpack it first: `gunzip`.",
        ),
        case(
            "gzip without its ending", "p.jsonl", gzip.compress(LINES.encode()),
            "refused: not UTF-8", "refused: p.jsonl is compressed by gzip…unpack it first…",
        ),
        case(
            "The pointer of Git LFS", "p.parquet", LFS, "refused: may be cut off; write it again",
            "refused: p.parquet is the pointer of Git LFS…run `git lfs pull`…",
        ),
        case(
            "The pointer of Git LFS as CSV", "p.csv", LFS,
            "refused: no column 'prompt' among 'version https://git-lfs…'. Set `column`…",
            "refused: p.csv is the pointer of Git LFS…",
        ),
        case(
            "The page that shows a file", "p.jsonl", "<!DOCTYPE html>\n<html>…</html>\n",
            "refused: not JSON", "refused: p.jsonl is a page of HTML…download the raw file…",
        ),
        case(
            "A spreadsheet with the ending .csv", "p.csv", b"PK\x03\x04" + bytes(60),
            "refused: no column 'prompt' among 'PK\\x03…'",
            "refused: p.csv is a ZIP archive or a spreadsheet…save the sheet as CSV.",
        ),
        case(
            "Names with blanks around them", "p.csv", "prompt, topic\nHi, a\n",
            "right, but ' topic' was another column than 'topic'",
            "refused: …column ' topic' has blanks around it. Remove them…",
        ),
        case(
            "Two names that differ by a blank", "p.csv", "prompt,prompt \nHi,Ho\n",
            "right by chance: Hi", "refused: …column 'prompt ' has blanks around it…",
        ),
        case(
            "Two columns without a name", "p.csv", ",,prompt\n0,0,Hi\n", "refused",
            "refused: p.csv: '' names several columns. Rename all but one.", "–",
        ),
    ],
)  # fmt: skip
def test_what_a_file_is(write, name, content):
    table = from_file(0, path=str(write(name, content)))
    return ", ".join(messages[-1]["content"] for messages in table["prompt"].to_list())


@pytest.mark.case(
    "A folder in place of a file",
    reports="tried here",
    before="refused: there is no file",
    expected="refused: data is a folder. Name one file in it: train.jsonl.",
)
def test_a_folder(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.jsonl").write_text(LINES)
    return str(read_rows(tmp_path / "data"))
