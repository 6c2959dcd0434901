r"""Text of models, users and files is text: on a terminal, in pages, in Prefect.

Every verb that prints gets the same nasty texts; what comes out holds nothing that a terminal would
obey, no link and no markup, and all of it is still there to be read.
"""

import json
import re
import unicodedata
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt
from rich.cells import cell_len

from prefopt_core.store.artifacts import Artifact

REPOSITORY = Path(__file__).parents[2]
NASTY = [
    "[/INST] yes [bold]",
    "[link=https://evil.example]click[/link]",
    "\x1b[31mred\x1b[0m\x07",
    "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "\x9b31m \x00 \x08 \r \x7f",
    "\u202egpj.exe\u2066 \u2028 \u200f",
    "a | b ``` ~~~ \n# head\n~~~",
    "[click](https://evil.example) ![x](https://evil.example/x.png)",
    "https://evil.example www.evil.example a@evil.example",
    "<img src=x onerror=alert(1)><script>alert(1)</script>",
    ":bomb: *bold* _em_ 👩‍🚀",
    "C:\\new\\table",
]
LABEL = "[/v2]\x1b[31m\u202e"


def obeyed(text):
    """What a terminal would obey in a text."""
    return sorted(
        {
            c
            for c in text
            if (unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") and c not in "\n\t")
            or unicodedata.bidirectional(c) in ("RLO", "LRO", "RLE", "LRE", "PDF", "RLI", "LRI")
        }
    )


@pytest.fixture
def asked(write):
    """A file of two nasty responses to each of as many nasty prompts."""
    rows = [
        {"prompt": f"{text} {i}", "response": f"{text} {j}"}
        for i, text in enumerate(NASTY)
        for j in range(2)
    ]
    return write("asked.jsonl", rows)


@pytest.fixture
def nasty(given_candidates, asked, config_file):
    """The config of a run about them, whose own words are nasty, too."""
    given_candidates["generation"]["params"]["path"] = str(asked)
    given_candidates["annotation"] |= {"guidelines": LABEL, "name": LABEL}
    return config_file(given_candidates | {"budget": 24})


@pytest.fixture
def printed(prefopt):
    """Run a verb that ends well; returns all it printed, of which a terminal obeys nothing."""

    def printed(*arguments, status=0):
        code, output, error = prefopt(*arguments)
        assert code == status, error
        assert obeyed(output + error) == [], arguments
        assert "💣" not in output
        return output + error

    return printed


@pytest.mark.slow
def test_no_verb_prints_what_a_terminal_obeys(
    printed, nasty, asked, store, tmp_path, config_file, monkeypatch
):
    assert "first run" in printed("plan", nasty)
    assert "○ annotate" in printed("run", nasty, "--no-server")
    reason = printed("plan", nasty, "annotation.guidelines='[/v3]'")
    assert r"guidelines [/v2]\x1b[31m\u202e → [/v3]" in reason
    outputs = [manifest.output for manifest in store.manifests()]
    for table in {output.table for output in outputs if isinstance(output, Artifact)}:
        assert " rows" in printed("show", table, "--rows", 99)
    monkeypatch.setenv("COLUMNS", "2000")
    shown = printed("show", "pair", "--rows", 99)
    assert r"\x1b]8;;https://evil.example\x1b\click" in shown
    assert "[/INST] yes [bold]" in shown
    assert ":bomb: *bold* _em_ 👩\u200d🚀" in shown
    assert r"[/v2]\x1b[31m\u202e" in printed("labels", "ls")
    assert r"\x1b[31mred\x1b[0m\x07" in printed("labels", "show", "--rows", 99)
    printed("labels", "export", tmp_path / "labels.csv", "--verdicts")
    printed("cache", "ls")
    assert r"\u001b" in printed("cache", "explain", "annotate")
    printed("lint")
    printed("export", tmp_path / "pairs", "--format", "jsonl", "--text")
    printed("select", asked, "--embedder", "hashing", "--output", tmp_path / "selected.csv")
    printed("list")
    preset = yaml.safe_load(Path(REPOSITORY, "presets", "tiny.yaml").read_text(encoding="utf-8"))
    arms = {f"{LABEL} {name}": changes for name, changes in preset["arms"].items()}
    preset |= {"title": LABEL, "arms": arms, "baseline": f"{LABEL} random"}
    compared = printed("compare", config_file(preset, "preset.yaml"), "--plan", "--no-server")
    assert r"[/v2]\x1b[31m\u202e aepo, seed 1" in compared


def test_what_is_refused_is_told_without_what_a_terminal_obeys(printed, nasty, write, store):
    for arguments in (
        ["run", nasty, f"selection.{LABEL}=1"],
        ["run", nasty, f"selection.strategy={LABEL}"],
        ["run", f"{LABEL}.yaml"],
        ["show", LABEL],
        ["labels", "ls", LABEL],
        ["list", LABEL],
        [LABEL],
        ["lint", write("pairs.jsonl", json.dumps({LABEL: 1}))],
        ["select", write("file.csv", f"{LABEL},b\n1,2\n")],
    ):
        assert printed(*arguments, "--traceback", status=2)


@pytest.mark.slow
@pytest.mark.parametrize("width", [40, 80])
def test_tables_break_no_word_on_a_narrow_terminal(printed, nasty, store, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    printed("run", nasty, "--no-server", "--quiet")
    lines = printed("show", "pair", "--rows", 99).splitlines()
    assert max(map(cell_len, lines[1:])) <= width
    assert any(line.startswith("chosen  ") for line in lines)
    assert any("assistant: C:\\new\\table 1" in line for line in lines)
    assert {"seconds", "compute"} <= set(printed("cache", "ls").split())


@pytest.mark.slow
def test_pages_hold_no_markup_of_a_text(printed, nasty, store):
    output = printed("run", nasty, "--no-server", "--quiet")
    html = Path(re.search(r"report +(\S.*)", output)[1]).read_text(encoding="utf-8")
    assert obeyed(html) == []
    assert "<img src=x" not in html
    assert "<script" not in html
    assert 'href="https://evil' not in html


@pytest.mark.slow
def test_what_prefect_shows_holds_no_markup_of_a_text(printed, nasty, store, server, monkeypatch):
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    monkeypatch.setenv("PREFECT_API_URL", server)
    with temporary_settings({PREFECT_API_URL: server}):
        printed("run", nasty)
        with get_client(sync_client=True) as client:
            artifacts = client.read_artifacts()
    assert {artifact.type for artifact in artifacts} >= {"markdown", "table"}
    for artifact in artifacts:
        texts = [str(artifact.description)]
        if artifact.type == "markdown":
            texts.append(artifact.data)
        elif artifact.type == "table":
            cells = [value for row in json.loads(artifact.data) for value in row.values()]
            assert obeyed("".join(map(str, cells))) == []
        for text in texts:
            html = MarkdownIt("commonmark").enable("table").render(text)
            assert obeyed(text) == []
            assert "evil.example" not in "".join(re.findall(r"<[^>]+>", html))
            assert "<script" not in html
            assert "https://" not in text  # Prefect's page would make a link of it by itself
