"""What the pages show is true: code runs, configs validate, commands parse, paths exist."""

import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from flows.cli import VERBS, app
from prefopt_core.annotation.settings import OutsideAnnotatorConfig
from prefopt_core.experiments.grid import load_comparison
from prefopt_core.experiments.schema import schema
from prefopt_core.experiments.sources import load_run

ROOT = Path(__file__).parents[1]
README, GUIDES = ROOT / "README.md", sorted((ROOT / "docs" / "guides").glob("*.md"))
DOCUMENTS = [README, *sorted((ROOT / "docs").glob("*.md")), *GUIDES]
DOCUMENTS += sorted((ROOT / "docs" / "methods").glob("*.md"))
DOCUMENTS += [ROOT / "CONTRIBUTING.md", ROOT / "data" / "README.md", ROOT / "benchmarks/README.md"]
SLOW = {"use-it-from-python.md"}
"""Pages whose Python trains a model."""
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# ([\w./-]+\.(?:py|ya?ml|toml))\n")
_INLINE = re.compile(r"`(prefopt [^`]+)`")
_LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
_MODULE = re.compile(r"`((?:flows|tasks|prefopt_core|benchmarks)(?:\.\w+)+)")


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


def _pages_with_python():
    return [
        pytest.param(path, id=path.name, marks=[pytest.mark.slow] if path.name in SLOW else [])
        for path in [README, *GUIDES]
        if "python" in dict(_BLOCK.findall(path.read_text()))
    ]


@pytest.mark.parametrize("path", _pages_with_python())
def test_python_runs(path, tmp_path):
    # A block that begins with `# name.py` is that file; the others are one program, in their order.
    program = []
    for language, text in _BLOCK.findall(path.read_text()):
        if file := _FILE.match(text):
            (tmp_path / file[1]).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file[1]).write_text(text)
        if language == "python":
            program.append(text)
    (tmp_path / "page_of_docs.py").write_text("\n".join(program))
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, (tmp_path, ROOT))),
        "PREFOPT_STORE": str(tmp_path / "store"),
    }
    done = subprocess.run(
        [sys.executable, "page_of_docs.py"],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("text", _blocks("yaml"))
def test_config_validates(text, tmp_path, monkeypatch):
    settings = yaml.safe_load(text) or {}
    if "arms" in settings:
        (tmp_path / "preset.yaml").write_text(text)
        monkeypatch.chdir(ROOT)  # where the base of a preset is looked for
        load_comparison(str(tmp_path / "preset.yaml"), {})
        return
    if settings.keys() == {"annotator", "params"}:
        OutsideAnnotatorConfig.model_validate(settings)
        return
    if "flow" not in settings:
        pytest.skip("not a config: it names no flow")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(text)
    load_run("config.yaml", {})
    jsonschema.Draft7Validator(schema()).validate(settings)


@pytest.mark.parametrize("command", sorted(set(_commands())))
def test_command_parses(command):
    words = shlex.split(command, comments=True)[1:]
    if words[-1] in ("…", "..."):
        words.pop()
    if len(words) == 1 and words[0] in VERBS:
        return  # the text speaks of a verb
    app.parse_args(words, print_error=False, exit_on_error=False)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(path):
    links = [link for link in _LINK.findall(path.read_text()) if "://" not in link]
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_modules_and_paths_in_code_type_exist():
    # `flows/align.py`, `tests/test_layers.py`, …; not the user's own files, nor patterns.
    named = re.findall(r"`((?:flows|tasks|prefopt_core|tests|data|benchmarks|docs)/[\w./-]+)`",
                       "".join(path.read_text() for path in DOCUMENTS))  # fmt: skip
    named = {name for name in named if not re.search("NAME|ROOM|MEMBER", name)}
    made_later = {"data/store"}
    assert [name for name in named - made_later if not (ROOT / name).exists()] == []


def test_modules_and_functions_named_with_dots_exist():
    names = {n for path in DOCUMENTS for n in _MODULE.findall(path.read_text())}
    assert "prefopt_core.labels.budget.allocate" in names
    assert [name for name in sorted(names) if not _exists(name)] == []


def _exists(name):
    """Whether a dotted name is a module, or something in one."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ImportError:
            continue
        for part in parts[end:]:
            found = getattr(found, part, None)
        return found is not None
    return False


def test_readme_is_short():
    assert len(README.read_text().splitlines()) <= 130
    assert all(len(path.read_text().splitlines()) <= 80 for path in GUIDES)


def test_troubleshooting_quotes_what_the_code_says():
    said = "".join(
        path.read_text()
        for name in ("flows", "prefopt_core")
        for path in (ROOT / name).rglob("*.py")
    )
    said = re.sub(r'"\s*\n\s*f?"', "", said)  # neighbouring literals are one text
    text = (ROOT / "docs" / "troubleshooting.md").read_text()
    symptoms = re.findall(r"^\| `([^`]+)`(?: or `([^`]+)`)? \|", text, re.MULTILINE)
    quoted = [quote for pair in symptoms for quote in pair if quote]
    assert len(quoted) > 35
    theirs = "Input should be a valid string"  # pydantic's
    parts = [
        part.strip(" '") for quote in quoted for part in quote.split("…") if theirs not in part
    ]
    assert [part for part in parts if part and part not in said] == []
