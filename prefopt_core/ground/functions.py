"""User functions, named in a config as 'module:function' or 'file.py:function', and loaded.

A function runs among its own modules: what it imports from the user's folders is loaded for it
alone, and again after an edit. Two functions with neighbours of the same name each get their own.
"""

import importlib
import importlib.util
import inspect
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from itertools import islice
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.registry import did_you_mean
from prefopt_core.ground.turns import in_turn
from prefopt_core.ground.user_code import (
    content_of,
    files_of,
    is_editable,
    is_installed,
    is_ours,
)
from prefopt_core.ground.user_errors import told

_lock = threading.RLock()
"""Held while a user's modules are in place: names in `sys.modules` are the whole process's."""


@dataclass(frozen=True)
class UserFunction:
    """A function of the user's, loaded, to be called like any other.

    Attributes:
        path: As the config names it.
        function: The function itself.
    """

    path: str
    function: Callable[..., Any]
    _own: "_OwnModules"

    def __call__(self, *arguments: Any) -> Any:
        """Call it among its own modules.

        Raises:
            UserCodeError: It raised.
            ConfigError: It imported a file that its content does not cover.
        """
        with in_turn(), told(self.path), self._own.in_place():
            return self.function(*arguments)


def load_function(path: str) -> UserFunction:
    """Import the function that `path` names.

    Raises:
        ConfigError: `path` is malformed, its module or file cannot be loaded, or it has no such
            function.
    """
    source, _, name = path.rpartition(":")
    if not source or not name:
        raise ConfigError(f"{path!r} names no function. Write 'module:function' or 'file.py:name'.")
    _check(source)
    place = str(Path(source).resolve()) if source.endswith(".py") else source
    try:
        with in_turn(), told(path, ImportError, SyntaxError):
            own = _own_modules(place, content_of(path))
            module = _loaded(place, own)
    except (ImportError, SyntaxError) as error:
        raise ConfigError(
            f"Cannot load the function {path!r}: {_problem(error, source, name)}."
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        known = [n for n, value in vars(module).items() if callable(value) and n[0] != "_"]
        raise ConfigError(f"{source} has no function {name!r}.{did_you_mean(name, known)}")
    return UserFunction(path, function, own)


def check_call(function: Callable[..., Any], path: str, *arguments: str) -> None:
    """Refuse a function that cannot be called with these arguments, or gives no plain value.

    Raises:
        ConfigError: It takes others, or is `async`, or a generator.
    """
    function = function.function if isinstance(function, UserFunction) else function
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigError(
            f"{path} is `async def`, and nothing awaits it. Name a plain function that calls it "
            "by `asyncio.run(…)`."
        )
    if inspect.isgeneratorfunction(function):
        raise ConfigError(f"{path} has `yield`; it is to `return` its value.")
    try:
        signature = inspect.signature(function)
    except ValueError:  # some functions written in C have none
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise ConfigError(
            f"{path} takes {signature}; it is called with ({', '.join(arguments)}): {error}."
        ) from error


def _check(source: str) -> None:
    if source.endswith(".py"):
        if not Path(source).is_file():
            raise ConfigError(f"There is no file {source} to load a function from.")
    elif source == "__main__":
        raise ConfigError(
            "A function of `__main__`, such as one typed into a notebook, is in no file that could "
            "be read again. Write it into one: 'file.py:name'."
        )
    elif not all(part.isidentifier() for part in source.split(".")):
        raise ConfigError(
            f"{source!r} is neither a module nor a file that ends in .py. "
            "Write 'module:function' or 'file.py:name'."
        )


def _problem(error: ImportError | SyntaxError, source: str, name: str) -> str:
    problem = f"{type(error).__name__}: {error}"
    if isinstance(error, ModuleNotFoundError) and error.name == source.partition(".")[0]:
        problem += f". For a file of yours write 'file.py:{name}'"
    if "no known parent package" in problem:
        problem += ". Beside the file write `import rubric`, not `from . import rubric`"
    return problem


def _loaded(source: str, own: "_OwnModules") -> ModuleType:
    """The module of a function; of a file it is made anew, as its state is nobody else's."""
    importlib.invalidate_caches()  # a file may be younger than what Python knows of its folder
    with own.in_place():
        if "" not in own.files:
            return importlib.import_module(source)
        # dataclasses look their module up by its name
        spec = _spec(f"_of_the_user_{own.files[''].stem}", own.files[""])
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        assert spec.loader is not None
        spec.loader.exec_module(module)
    return module


@lru_cache(maxsize=32)  # a neighbour may load a model
def _own_modules(source: str, content: str | None) -> "_OwnModules":
    files = files_of(source)
    return _OwnModules(str(files[""].parent) if "" in files else None, files)


class _Fresh(SourceFileLoader):
    """Compiles what is in the file: bytecode of a second ago may look as young as its edit."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def _spec(name: str, file: Path) -> ModuleSpec:
    loader = _Fresh(name, str(file)) if file.suffix == ".py" else None
    spec = importlib.util.spec_from_file_location(name, file, loader=loader)
    assert spec is not None
    return spec


@dataclass(eq=False)
class _OwnModules(MetaPathFinder):
    """The modules that one function imports from the user's folders; elsewhere out of sight."""

    folder: str | None
    files: dict[str, Path]
    modules: dict[str, ModuleType] = field(default_factory=dict)
    added: list[str] = field(default_factory=list)  # to the path, by the code itself

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put them in place of modules of the same names, and its folder on the path."""
        with _lock:
            path, names = sys.path[:], self._names()
            hidden = {n: sys.modules.pop(n) for n in names if n in sys.modules}
            sys.modules |= self.modules
            before = len(sys.modules)
            sys.meta_path.insert(0, self)
            sys.path[:] = [*filter(None, [self.folder]), *path, *self.added]
            start = {*sys.path}
            try:
                yield
                # The last ones; to compare all names would take a millisecond a call.
                self._check({*islice(reversed(sys.modules), max(0, len(sys.modules) - before))})
            finally:
                self.added += [folder for folder in sys.path if folder not in start]
                self.modules = {n: sys.modules.pop(n) for n in names if n in sys.modules}
                sys.modules |= hidden
                sys.meta_path.remove(self)
                sys.path[:] = path

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """As a finder of Python's: the file that was read for this name, and no other."""
        return _spec(name, self.files[name]) if name in self.files else None

    def _names(self) -> set[str]:
        """Of its modules, and of the packages that they are in."""
        parts = [name.split(".") for name in self.files if name]
        return {".".join(own[:end]) for own in parts for end in range(1, len(own) + 1)}

    def _check(self, imported: set[str]) -> None:
        """Refuse a module of the user's that came from where reading the source did not lead."""
        source = next(iter(self.files.values()), Path("the function"))
        known = {*self.files.values()}
        for name in sorted(imported - self._names()):
            file = Path(getattr(sys.modules[name], "__file__", None) or "/")
            unread = file.suffix == ".py" and file.resolve() not in known
            if unread and _is_users(name, file) and not is_editable(file.resolve(), source):
                del sys.modules[name]
                raise ConfigError(
                    f"{source} imports {file}, which was found only by running it, so an edit of "
                    f"that would go unnoticed. Put {file.name} beside it and write "
                    f"`import {name.rpartition('.')[2]}`, or set PYTHONPATH to its folder."
                )


def _is_users(name: str, file: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.parts)  # such as what libraries generate
    # Code of the hub, which lies where HF_HOME says; and __mp_main__ is __main__ again.
    hidden |= name.startswith(("transformers_modules", "datasets_modules", "__"))
    on_path = any(file.is_relative_to(folder) for folder in filter(None, sys.path))
    return on_path and not hidden and not is_ours(name) and not is_installed(file.resolve())
