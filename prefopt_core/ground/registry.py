"""Names that can be written in a config, and the functions they stand for.

A registry is a dictionary of import paths. Nothing is imported until a name is used, so listing
the generators does not import torch.
"""

import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar, get_args

from pydantic import ConfigDict, ValidationError, create_model

from prefopt_core.ground.errors import ConfigError

F = TypeVar("F", bound=Callable[..., Any])

InputPath = Annotated[str, "path"]
"""A setting that may name a file or folder; what is in it counts, not where it lies."""


class Registry(Mapping[str, F]):
    """`{"name": "package.module:function"}`, resolved when a name is used.

    A registered function obeys one rule: prefopt supplies the parameters before the `*`, the
    config supplies those after it.
    """

    def __init__(self, kind: str, targets: Mapping[str, str]) -> None:
        self.kind = kind
        self._targets = dict(targets)

    def __getitem__(self, name: str) -> F:
        if name not in self._targets:
            raise ConfigError(f"Unknown {self.kind} {name!r}.{did_you_mean(name, self)}")
        return import_function(self._targets[name])

    def __contains__(self, name: object) -> bool:
        return name in self._targets

    def __iter__(self) -> Iterator[str]:
        return iter(self._targets)

    def __len__(self) -> int:
        return len(self._targets)

    def summary(self, name: str) -> str:
        """The first line of the function's docstring."""
        return (inspect.getdoc(self[name]) or "").partition("\n")[0]

    def settings(self, name: str) -> dict[str, tuple[Any, Any]]:
        """Name → (type, default or `...`) of what the config may set."""
        return {
            p.name: (p.annotation, ... if p.default is p.empty else p.default)
            for p in inspect.signature(self[name], eval_str=True).parameters.values()
            if p.kind is p.KEYWORD_ONLY
        }

    def paths(self, name: str) -> list[str]:
        """The settings that name a file or folder."""
        return [
            setting
            for setting, (kind, _) in self.settings(name).items()
            if InputPath in (kind, *get_args(kind))
        ]

    def complete_params(self, name: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Check `params` against the function's keyword-only parameters; fill in defaults."""
        settings = self.settings(name)
        problems = [
            f"The {self.kind} {name!r} has no setting {unknown!r}.{did_you_mean(unknown, settings)}"
            for unknown in sorted(map(str, params.keys() - settings.keys()))
        ]
        known = {key: value for key, value in params.items() if key in settings}
        config = ConfigDict(arbitrary_types_allowed=True, protected_namespaces=())
        model = create_model(name, __config__=config, **settings)  # type: ignore[call-overload]
        try:
            completed: dict[str, Any] = model(**known).model_dump()
        except ValidationError as error:
            problems += [
                f"The {self.kind} {name!r}, setting {problem['loc'][0]!r}: {problem['msg']}."
                for problem in error.errors()
            ]
        if problems:
            raise ConfigError(" ".join(problems))
        return completed


def import_function(path: str) -> Any:
    """Resolve `package.module:function`."""
    module, _, function = path.partition(":")
    return getattr(importlib.import_module(module), function)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint for a misspelt name: the nearest known one, and all there are."""
    known = sorted(known)
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    return f"{guess} Available: {', '.join(known) or 'none'}."
