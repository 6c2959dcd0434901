"""A stage whose source changes needs another version, or somebody who says that results do not.

The version is part of the key of everything a stage ever made. If it stays although results
change, old results are taken for new ones; so a change of source without one fails here. Either

    raise `version` of the stage in tasks/…py         what it returns has changed
    or leave it                                       what it returns has not: a claim, see below

and then record it with `python tests/test_stage_versions.py --accept`, in the same commit, whose
message says `Stage: select 1 -> 2` or why results are unchanged.

What counts as source: the stage's function; each module of ours that it imports, at the top or
inside a function, directly or through others; and each that a registry names there. Comments,
docstrings, the layout, import statements (what they import counts itself) and the registries' lines
do not count: adding a member changes no other, and moving a module none at all.
Not counted is what every stage stands on: see `is_ground`.
"""

import ast
import hashlib
import importlib
import json
import re
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "tests" / "golden" / "stage_versions.json"
ACCEPT = "python tests/test_stage_versions.py --accept"
COMPUTES = {f"prefopt_core.ground.{name}" for name in ("functions", "randomness", "vectors")}
"""What results depend on among the ground."""
_TARGET = re.compile(r"(prefopt_core[\w.]*):\w+")


# --- which stages there are, and of what source ----------------------------------------------


@cache
def stages():
    """Name → stage, of every stage in `tasks`."""
    from tasks.stage import StageTask

    modules = [importlib.import_module(f"tasks.{p.stem}") for p in (ROOT / "tasks").glob("*.py")]
    found = {id(v): v.spec for m in modules for v in vars(m).values() if isinstance(v, StageTask)}
    specs = {spec.name: spec for spec in found.values()}
    assert len(specs) == len(found), "two stages share a name"
    return dict(sorted(specs.items()))


def sources(spec):
    """Name → digest of every piece of source that a stage's results depend on."""
    module, function = spec.function.__module__, spec.function.__name__
    own = reached(tree_of(module), function)
    found = {f"{module}:{function}": digest(own)}
    waiting = imported(tree_of(module), names_in(own))
    while waiting:
        name = waiting.pop()
        if name not in found and not is_ground(name):
            found[name] = digest([tree_of(name)])
            waiting |= imported(tree_of(name))
    return dict(sorted(found.items()))


_CARRYING = {
    "prefopt_core.labels.store",
    "prefopt_core.models.server.kept",
    "tasks.session",
    "tasks.stage",
}


def is_ground(module):
    """Whether it only carries results: it keeps, names, checks or shows them.

    Keys, ids and contracts have golden tests of their own (core/store, core/ground); settings
    enter the key by value, defaults written out.
    """
    room, _, name = module.removeprefix("prefopt_core.").partition(".")
    return (
        room in ("ground", "store") or name == "settings" or module in _CARRYING
    ) and module not in COMPUTES


def path_of(module):
    """The file of one of our modules, or None."""
    stem = ROOT.joinpath(*module.split("."))
    return next(filter(Path.is_file, (stem.with_suffix(".py"), stem / "__init__.py")), None)


@cache
def tree_of(module):
    """The syntax tree of one of our modules, without what changes no result."""
    return _Bare().visit(ast.parse(path_of(module).read_text(encoding="utf-8")))


class _Bare(ast.NodeTransformer):
    """Drops docstrings and imports for types; puts the lines of registries in `targets`."""

    def visit_If(self, node):
        return None if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)

    def visit_Expr(self, node):
        return None if is_text(node.value) else self.generic_visit(node)

    def visit_Dict(self, node):
        node.targets = [v.value.partition(":")[0] for v in node.values if is_target(v)]
        kept = [n for n, value in enumerate(node.values) if not is_target(value)]
        node.keys, node.values = ([part[n] for n in kept] for part in (node.keys, node.values))
        return self.generic_visit(node)


def is_text(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def is_target(node):
    return is_text(node) and re.fullmatch(r"prefopt_core[\w.]*:\w+", node.value) is not None


def reached(tree, name):
    """What one of a module's functions uses of the module: definitions, itself first."""
    definitions = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            definitions |= {t.id: node for t in node.targets if isinstance(t, ast.Name)}
    definitions[name].decorator_list = []  # the version itself, and what enters the key anyway
    found, waiting = {}, {name}
    while waiting:
        used = waiting.pop()
        if used in definitions.keys() - found.keys():
            found[used] = definitions[used]
            waiting |= names_in([found[used]])
    return list(found.values())


def names_in(nodes):
    return {n.id for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name)}


def imported(tree, names=None):
    """Our modules that a module imports: all, or those that `names` come from."""
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if names is None or (alias.asname or alias.name) in names:
                    modules |= {node.module, f"{node.module}.{alias.name}"}
        elif isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        modules |= set(getattr(node, "targets", [])) if isinstance(node, ast.Dict) else set()
    return {name for name in modules if name.startswith("prefopt_core.") and path_of(name)}


def digest(nodes):
    return hashlib.sha256(json.dumps(plain(nodes)).encode()).hexdigest()[:12]


def plain(node):
    """A syntax tree as lists, without imports and the fields that only some Pythons have."""
    if isinstance(node, ast.AST):
        fields = [[name, plain(value)] for name, value in ast.iter_fields(node)]
        return [type(node).__name__, *(pair for pair in fields if pair[1] not in ("None", []))]
    if isinstance(node, list):
        return [plain(item) for item in node if not isinstance(item, ast.Import | ast.ImportFrom)]
    return repr(node)


# --- what was recorded -----------------------------------------------------------------------


def current():
    """What the record has to say."""
    specs = stages().items()
    return {name: {"version": spec.version, "sources": sources(spec)} for name, spec in specs}


def problems(record, current):
    """What a stage's author has to do, one text for each stage."""
    return [
        problem_of(name, record.get(name, {}), current.get(name, {}))
        for name in sorted(record.keys() | current.keys())
        if record.get(name) != current.get(name)
    ]


def problem_of(name, before, now):
    old, new = before.get("version"), now.get("version")
    if old != new:
        return f"Stage {name!r}: version {new}, recorded {old}. Record it: {ACCEPT}"
    was, are = before["sources"], now["sources"]
    changed = [s for s in sorted(was.keys() | are.keys()) if was.get(s) != are.get(s)]
    file = next(s for s in are if s.startswith("tasks.")).partition(":")[0].replace(".", "/")
    return (
        f"Stage {name!r} changed in {', '.join(changed)}; its version is still {new}. If what it "
        f"returns has changed, raise `version` of {name!r} in {file}.py. Then, or if results are "
        f"unchanged, record it: {ACCEPT}"
    )


def test_no_stage_changed_without_its_version():
    found = problems(json.loads(RECORD.read_text()), current())
    assert not found, "\n".join(["", *found])


# --- the test, tested ------------------------------------------------------------------------

MODULE = """
'''About it.'''
from typing import TYPE_CHECKING
from prefopt_core.one import f
X = {"one": "prefopt_core.one:f", "k": 2}
if TYPE_CHECKING:
    import torch
def f(x: int) -> int:
    '''Double.'''
    return 2 * x  # twice
"""


def tree(source):
    return _Bare().visit(ast.parse(source))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("About it", "About that"),
        ("'''Double.'''", ""),
        ("  # twice", ""),
        ("    import torch", "    import numpy"),
        ("from prefopt_core.one import f", "from prefopt_core.room.one import f"),
        ("2 * x", "(2 *\n     x)"),
        ('"one": "prefopt_core.one:f"', '"one": "prefopt_core.one:f", "b": "prefopt_core.b.c:f"'),
    ],
)
def test_what_changes_no_result_does_not_count(old, new):
    assert digest([tree(MODULE.replace(old, new))]) == digest([tree(MODULE)])


@pytest.mark.parametrize(
    ("old", "new"), [("2 * x", "3 * x"), ('"k": 2', '"k": 3'), ("2 *", "2.0 *")]
)
def test_what_can_change_a_result_counts(old, new):
    assert digest([tree(MODULE.replace(old, new))]) != digest([tree(MODULE)])


def test_source_of_a_stage_is_what_it_reaches_and_no_more():
    select, drawn, read = (
        sources(stages()[name]).keys() for name in ("select", "draw_prompts", "load_preferences")
    )
    members = {f"prefopt_core.selection.{name}" for name in ("table", "aepo", "uniform")}
    assert (
        members | {"prefopt_core.ground.randomness", "tasks.selection:select_responses"} <= select
    )
    assert "prefopt_core.inputs.drawing" in drawn - read
    assert "prefopt_core.inputs.preferences" in read - drawn
    assert not any(map(is_ground, select | drawn | read))


def test_what_carries_results_is_told_from_what_computes_them():
    carries = ("ground.errors", "store.stage", "store.folders", "selection.settings")
    assert all(is_ground(f"prefopt_core.{name}") for name in carries)
    assert all(map(path_of, COMPUTES))
    assert not any(map(is_ground, {*COMPUTES, "prefopt_core.selection.table"}))


def test_author_is_told_what_to_do():
    def recorded(version, **sources):
        return {"select": {"version": version, "sources": {"tasks.selection:f": "0"} | sources}}

    before = recorded(1, aepo="1", uniform="2")
    assert problems(before, before) == []
    (changed,) = problems(before, recorded(1, aepo="9", uniform="2"))
    assert "'select' changed in aepo; its version is still 1" in changed
    assert "raise `version` of 'select' in tasks/selection.py" in changed
    assert changed.endswith(ACCEPT)
    (raised,) = problems(before, recorded(2, aepo="9", uniform="2"))
    assert raised == f"Stage 'select': version 2, recorded 1. Record it: {ACCEPT}"
    assert "version 1, recorded None" in problems({}, before)[0]
    assert "version None, recorded 1" in problems(before, {})[0]


if __name__ == "__main__":
    if sys.argv[1:] != ["--accept"]:
        sys.exit(f"usage: {ACCEPT}")
    sys.path.insert(0, str(ROOT))
    told = problems(json.loads(RECORD.read_text() if RECORD.exists() else "{}"), current())
    RECORD.write_text(json.dumps(current(), indent=1) + "\n")
    for problem in told:
        sys.stdout.write(problem.partition(" If ")[0].partition(" Record")[0] + "\n")
