"""YAML as people mean it: what its version 1.1 would silently read as something else is refused."""

import re
from collections.abc import Iterator
from itertools import count
from typing import Any

import yaml

from prefopt_core.ground.errors import ConfigError

_FLOAT = re.compile(r"[-+]?(\d[\d_]*)(\.\d*)?[eE][-+]?\d+|[-+]?\.\d+[eE][-+]?\d+")
"""Numbers such as 1e-5, which YAML 1.1 takes for texts."""
_ODD = re.compile(r"[-+]?0\d+|[-+]?\d+(:[0-5]?\d)+(\.\d*)?")
"""What YAML 1.1 reads as octal (012 is 10) or of base 60 (1:30 is 90)."""


_MOST = 100_000
"""Values that a config may have; those that are written once and named often count as often."""
_DEEPEST = 100
"""Levels of nesting that a config may have."""


def read_yaml(text: str, where: str) -> Any:
    """Read YAML; sections that are written once and named twice (`&`, `*`) become two.

    Args:
        text: The YAML.
        where: The file, or what else the text is, for error messages.

    Raises:
        ConfigError: It is not YAML, says a setting twice, or has a value that YAML 1.1 and people
            read in two ways, or is nested deeper than any config.
    """
    try:
        return _unshared(yaml.load(text, Loader=_Loader), count())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(
            f"{where} is not YAML{line}: {error.problem or error.context}."
            f"{_hint(text) if error.context else ''}"
        ) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"{where} is not YAML: {' '.join(str(error).split())}") from error


def _hint(text: str) -> str:
    if "\t" in text:
        return " YAML takes no tabs: indent with spaces."
    return " Put a text with brackets, colons or hashes in quotes."


def _unshared(value: Any, values: Iterator[int], inside: tuple[int, ...] = ()) -> Any:
    """A copy in which nothing is the same object twice, so that a change changes one place."""
    if next(values) > _MOST:  # a few lines that name each other ten times become any number
        raise ValueError(
            f"it comes to more than {_MOST:,} values. Write fewer, or name fewer (`*`)"
        )
    if id(value) in inside:
        raise ValueError("a section that contains itself")
    if isinstance(value, dict):
        return {key: _unshared(item, values, (*inside, id(value))) for key, item in value.items()}
    if isinstance(value, list):
        return [_unshared(item, values, (*inside, id(value))) for item in value]
    return value


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses what may be meant otherwise, or is nested without end."""

    def fetch_flow_collection_start(self, kind: Any) -> None:
        self._refuse_deep(self.flow_level)
        super().fetch_flow_collection_start(kind)

    def add_indent(self, column: int) -> bool:
        self._refuse_deep(len(self.indents))
        return super().add_indent(column)

    def _refuse_deep(self, depth: int) -> None:
        if depth > _DEEPEST:  # each level looks at all around it
            raise yaml.MarkedYAMLError(
                problem=f"it is nested more than {_DEEPEST} deep", problem_mark=self.get_mark()
            )

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(
                    problem="the name of a setting is a list or a section",
                    problem_mark=key.start_mark,
                )
            if key.tag != "tag:yaml.org,2002:merge" and key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"it says {key.value!r} twice; the first would be lost",
                    problem_mark=key.start_mark,
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _plain(loader: _Loader, node: yaml.ScalarNode) -> Any:
    """A number that stands without quotes."""
    text, kind = node.value, node.tag.rpartition(":")[2]
    if _ODD.fullmatch(text):
        meant = loader.construct_yaml_int(node) if kind == "int" else "of base 60"
        raise yaml.MarkedYAMLError(
            problem=f"{text} would be {meant}. Write the number as it is meant, or a text in "
            f'quotes: "{text}"',
            problem_mark=node.start_mark,
        )
    return getattr(loader, f"construct_yaml_{kind}")(node)


_Loader.add_constructor("tag:yaml.org,2002:int", _plain)
_Loader.add_constructor("tag:yaml.org,2002:float", _plain)
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))
