"""What a user's function consists of: its file, and what that imports from the user's own folders.

Found by reading the source, not by running it: imports at the top, inside functions, relative
ones, `importlib.import_module("…")`; of a package that makes such names up, all its modules. Not
followed: installed packages, Python's own modules, prefopt itself, and whatever the code opens as
data or starts as a process.
"""

import ast
import hashlib
import json
import site
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache, lru_cache
from importlib import metadata
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.files import file_digest
from prefopt_core.ground.foreign import cut

OURS = ("prefopt_core", "flows", "tasks")
"""Our packages. `flows` and `tasks` are names that people's own folders have."""
SAFE_PATH = {"PYTHONSAFEPATH": "1"}
"""Environment of Python processes of ours: what lies in the working folder is not ours."""
_ENDINGS = (".py", *EXTENSION_SUFFIXES)
_BY_NAME = {"importlib.import_module", "import_module", "__import__"}
"""Functions that import a module by its name."""
_BY_PATH = {"spec_from_file_location", "run_path", "run_module", "SourceFileLoader"}
"""Functions that run a file by its path."""


def files_of(source: str) -> dict[str, Path]:
    """Name of the module → its file, of all that `file.py` or `package.module` consists of.

    Args:
        source: The part of a function's path before the colon.

    Returns:
        A file named by its path first, as ""; no files of an installed package.

    Raises:
        ConfigError: The source imports something that cannot be followed by reading it.
    """
    if source.endswith(".py"):
        main, folder = Path(source).resolve(), Path(source).resolve().parent
        found = {"": main} if main.is_file() else {}
    else:
        folder = None
        found = dict(_located(source, folder))
    waiting, asked = list(found.items()), set[str]()
    while waiting:
        wanted = [name for name in _imports(*waiting.pop()) if name not in asked]
        asked.update(wanted)
        for module, place in chain.from_iterable(_located(name, folder) for name in wanted):
            if module not in found:
                found[module] = place
                waiting.append((module, place))
    return found


def content_of(function: str) -> str | None:
    """What a function is by its content: of `file.py:name` a digest; None if there is no such file.

    A function of an installed package is that package's name and version.

    Raises:
        ConfigError: As for `files_of`.
    """
    source, colon, _ = function.rpartition(":")
    if not colon:
        return None
    files = files_of(source)
    if list(files) == [""]:
        return file_digest(files[""])[0]
    if not files:
        return None if source.endswith(".py") else _distribution(source.partition(".")[0])
    listing = "".join(f"{name} {file_digest(path)[0]}\n" for name, path in sorted(files.items()))
    return hashlib.sha256(listing.encode()).hexdigest()


def is_installed(file: Path) -> bool:
    """Whether a file belongs to Python or to an installed package, and not to a user's folder."""
    parts = file.parts
    return (
        any(part in ("site-packages", "dist-packages") for part in parts)
        or any(file.is_relative_to(folder) for folder in _libraries())
        or any(_holds_packages(folder) for folder in file.parents)
    )


def is_ours(module: str) -> bool:
    """Whether a module is part of prefopt; stage versions say when its results change."""
    return module.partition(".")[0] in OURS


def is_editable(file: Path, but: Path) -> bool:
    """Whether a file belongs to a package that pip installed in editable mode, and `but` does not.

    Installed packages may import such a package, unseen by who reads a function's source.
    """
    return any(
        file.is_relative_to(folder) and not but.is_relative_to(folder) for folder in _editable()
    )


@cache
def _editable() -> list[Path]:
    texts = [each.read_text("direct_url.json") for each in metadata.distributions()]
    origins = [json.loads(text) for text in texts if text]
    return [
        Path(url2pathname(urlsplit(origin["url"]).path)).resolve()
        for origin in origins
        if origin.get("dir_info", {}).get("editable")
    ]


@cache
def _libraries() -> list[Path]:
    paths = sysconfig.get_paths()
    return [
        Path(path).resolve()
        for path in {paths["stdlib"], paths["platstdlib"], site.getusersitepackages()}
    ]


@cache
def _holds_packages(folder: Path) -> bool:
    """Whether pip installed into this folder, as by `pip install --target`."""
    try:
        return any(entry.name.endswith(".dist-info") for entry in folder.iterdir())
    except OSError:
        return False


@cache
def _distribution(package: str) -> str | None:
    names = metadata.packages_distributions().get(package, [])
    return ", ".join(f"{name} {metadata.version(name)}" for name in sorted(set(names))) or None


def _located(name: str, folder: Path | None) -> Iterator[tuple[str, Path]]:
    """(module, file) of a dotted name and of the packages it is in, as far as they are the user's.

    Raises:
        ConfigError: A file beside the function has the name of a module of Python's own.
    """
    first, *rest = name.split(".")
    file, places = _top(first, folder)
    for number, part in enumerate([first, *rest]):
        if part == "*":  # what the package's `__all__` names, or what it finds while it runs
            yield from _all_in(places, ".".join([first, *rest][:number]))
            return
        if number:
            file, places = _beside(part, places)
        if file:
            yield ".".join([first, *rest][: number + 1]), file
        if not file and not places:
            return


def _beside(name: str, folders: list[Path]) -> tuple[Path | None, list[Path]]:
    """(file, where its submodules are) of a module in one of some folders."""
    for folder in folders:
        for ending in _ENDINGS:
            if (package := folder / name / f"__init__{ending}").is_file():
                return package, [folder / name]
            if (file := folder / f"{name}{ending}").is_file():
                return file, []
    return None, [folder / name for folder in folders if (folder / name).is_dir()]


def _top(name: str, folder: Path | None) -> tuple[Path | None, list[Path]]:
    """(file, where its submodules are) of a module that is in no package."""
    file, places = _beside(name, [folder] if folder else [])
    if name not in sys.stdlib_module_names:
        return (file, places) if file or places else _importable(name)
    if file:
        raise ConfigError(
            f"{file} has the name of one of Python's own modules, and is imported beside it: "
            "nobody can say which of the two a function gets. Rename it."
        )
    return None, []


def _all_in(folders: list[Path], package: str) -> Iterator[tuple[str, Path]]:
    for folder in folders:
        for file in sorted(f for f in folder.rglob("*.py") if not is_installed(f)):
            parts = file.relative_to(folder).with_suffix("").parts
            yield ".".join([package, *parts]).removesuffix(".__init__"), file


def _importable(name: str) -> tuple[Path | None, list[Path]]:
    """The same for a module on Python's path; (None, []) if it is installed or not there."""
    if is_ours(name):
        return None, []
    try:
        spec: ModuleSpec | None = find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return None, []
    file = Path(spec.origin).resolve() if spec.origin and spec.has_location else None
    places = [Path(place).resolve() for place in spec.submodule_search_locations or ()]
    if any(map(is_installed, [file] if file else places)):
        return None, []
    return file, places


def _imports(name: str, file: Path) -> tuple[str, ...]:
    """Dotted names that a module imports, or may: of `from a import b` both `a` and `a.b`."""
    package = name if file.stem == "__init__" else name.rpartition(".")[0]
    return _imports_in(file, file_digest(file)[0], package) if file.suffix == ".py" else ()


@lru_cache(maxsize=10_000)
def _imports_in(file: Path, digest: str, package: str) -> tuple[str, ...]:
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # loading it says so
        return ()
    found: list[str] = []
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                found += [alias.name for alias in node.names]
            case ast.ImportFrom():
                base = _absolute(node.module or "", node.level, package)
                found += [base, *(_joined(base, alias.name) for alias in node.names)]
            case ast.Call():
                found += _called(node, file, package)
    return tuple(dict.fromkeys(filter(None, found)))


def _absolute(module: str, level: int, package: str) -> str:
    """The name of a relative import; of a file that is in no package, that of a neighbour."""
    if not level:
        return module
    parents = package.split(".")[: max(0, len(package.split(".")) - level + 1)]
    return _joined(".".join(parents), module)


def _joined(*names: str) -> str:
    return ".".join(filter(None, names))


def _called(node: ast.Call, file: Path, package: str) -> list[str]:
    """What `importlib.import_module("…")` imports; a package may import any of its own modules.

    Raises:
        ConfigError: The name is not written out, and the file is in no package; or a file is run
            by its path.
    """
    name = ast.unparse(node.func)
    if name in _BY_NAME and node.args:
        wanted = node.args[0]
        if isinstance(wanted, ast.Constant) and isinstance(wanted.value, str):
            text = wanted.value
            level = len(text) - len(text.lstrip("."))
            return [_absolute(text.lstrip("."), level, package)]
        if package:
            return [f"{package.partition('.')[0]}.*"]
    elif name.rpartition(".")[2] not in _BY_PATH:
        return []
    raise ConfigError(
        f"{file}, line {node.lineno}: `{cut(ast.unparse(node), 60)}` imports what cannot be known "
        "by reading it, so an edit of that would go unnoticed. Write the name out: `import rubric`."
    )
