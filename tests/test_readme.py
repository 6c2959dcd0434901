"""What the README shows is true: configs validate, commands parse, paths exist."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from flows.cli import VERBS, app
from prefopt_core.experiments.sources import load_run

ROOT = Path(__file__).parents[1]
DOCUMENTS = [path for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")) if path.exists()]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(prefopt [^`]+)`")
_LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


def _blocks(*languages):
    return [
        pytest.param(text, id=f"{path.name}-{number}")
        for path in DOCUMENTS
        for number, (language, text) in enumerate(_BLOCK.findall(path.read_text()))
        if language in languages
    ]


def _commands():
    """Every `prefopt …` line of a shell block, and every such command within the text."""
    for path in DOCUMENTS:
        text = path.read_text()
        for language, block in _BLOCK.findall(text):
            if language in ("sh", "bash", "console"):
                for line in re.sub(r"\\\n\s*", " ", block).splitlines():
                    command = line.removeprefix("$ ").strip()
                    if command.startswith("prefopt "):
                        yield command
        yield from _INLINE.findall(_BLOCK.sub("", text))


@pytest.mark.parametrize("text", _blocks("yaml"))
def test_config_validates(text, tmp_path, monkeypatch):
    if "flow" not in (yaml.safe_load(text) or {}):
        pytest.skip("not a config: it names no flow")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(text)
    load_run("config.yaml", {})


@pytest.mark.parametrize("command", sorted(set(_commands())))
def test_command_parses(command):
    words = shlex.split(command, comments=True)[1:]
    if words[-1] in ("…", "..."):
        words.pop()
    if len(words) == 1 and words[0] in VERBS:
        return  # the text speaks of a verb
    app.parse_args(words, print_error=False, exit_on_error=False)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files(path):
    links = [link for link in _LINK.findall(path.read_text()) if "://" not in link]
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_modules_and_paths_in_code_type_exist():
    # `flows/align.py`, `tests/test_layers.py`, …; not the user's own files, nor patterns.
    named = re.findall(r"`((?:flows|tasks|prefopt_core|tests|data|benchmarks|docs)/[\w./-]+)`",
                       "".join(path.read_text() for path in DOCUMENTS))  # fmt: skip
    made_later = {"data/store"}
    assert [name for name in set(named) - made_later if not (ROOT / name).exists()] == []
