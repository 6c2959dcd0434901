"""Errors a user can cause. Each message says what happened, what was expected, and what to do."""

import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import yaml


class PrefoptError(Exception):
    """Base class: catch this to catch everything prefopt raises on purpose."""


class ConfigError(PrefoptError, ValueError):
    """A setting is missing, unknown or out of range."""


class DataError(PrefoptError, ValueError):
    """A file or a table is not what it has to be."""


class StoreError(PrefoptError):
    """The store cannot be written, or what it should hold is missing or damaged."""


class MissingExtraError(PrefoptError, ImportError):
    """An optional library is needed and not installed."""


class ServerError(PrefoptError):
    """A model server does not answer, or its answers are not valid completions."""


class UserCodeError(PrefoptError):
    """A function of the user's, or of another package, raised; the message has its last line."""


@contextmanager
def in_words_of(names: Mapping[str, str]) -> Iterator[None]:
    """Name settings in errors as the user wrote them: on the command line, or in another section.

    Args:
        names: What stands between backticks in a message → what is to stand there.

    Raises:
        PrefoptError: The error that was raised, with other words.
    """
    try:
        yield
    except PrefoptError as error:
        text = str(error)
        for name, word in names.items():
            if word.startswith("--"):
                text = _as_options(text, name, word)
            quoted = f"`{word}`" if " " not in word else word
            text = text.replace(f"`{name}`", quoted).replace(f"`{name}:", f"`{word}:")
        raise type(error)(text.replace(", beside `path`,", "")) from error


def _as_options(text: str, name: str, option: str) -> str:
    """What a message gives as a line of YAML, `name: [a, b]`, as options of the command line."""

    def typed(line: re.Match[str]) -> str:
        listed = yaml.safe_load(line[1]) if line[1].startswith("[") else [line[1]]
        words = (v if re.fullmatch(r"[\w.…-]+", v) else shlex.quote(v) for v in map(str, listed))
        return "`" + " ".join(f"{option} {word}" for word in words) + "`"

    text, found = re.subn(rf"`{re.escape(name)}: (.+?)`", typed, text)
    return re.sub(",? beside `path`", "", text) if found else text
