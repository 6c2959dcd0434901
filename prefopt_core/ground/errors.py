"""Errors a user can cause. Each message says what happened, what was expected, and what to do."""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import yaml

from prefopt_core.ground.foreign import visible

_MOST = 4000
"""Characters of a message; whole files may be quoted in one."""


class PrefoptError(Exception):
    """Base class: catch this to catch everything prefopt raises on purpose.

    Args:
        words: What happened, what was expected, what to do. Texts of users, models and servers in
            it are made visible, as it is printed, logged and shown in Prefect.
    """

    def __init__(self, words: str = "") -> None:
        words = visible(words)
        if len(words) > _MOST:  # what was wrong stands first, what to do last
            words = f"{words[: _MOST - 1000]} […] {words[-900:]}"
        super().__init__(words)


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


class HubError(PrefoptError):
    """The hub cannot be reached, or does not take what is sent to it."""


class OverBudgetError(PrefoptError):
    """What is to be bought does not fit into what is left of a budget; nothing was bought."""


class AwaitingLabelsError(PrefoptError):
    """A run needs labels that people have not given yet; nothing is wrong.

    Attributes:
        left: How many.
        done: How many of those that it asked for are given.
        accounts: The budgets by which their questions were left for people.
    """

    def __init__(
        self, words: str, left: int = 0, done: int = 0, accounts: Iterable[str] = ()
    ) -> None:
        super().__init__(words)
        self.left, self.done, self.accounts = left, done, tuple(accounts)


class NothingNewError(PrefoptError):
    """A run that continues an earlier one has nothing new to begin with; nothing is wrong."""


class UserCodeError(PrefoptError):
    """A function of the user's, or of another package, raised; the message has its last line."""


class Lacking(str):
    """A doubt that ends a run once what it is about is used, as a server that does not answer.

    What the store holds needs no server; so it is no error until something has to be asked.

    Attributes:
        section: Of the config that it is about; None until it is known.
    """

    section: Any = None


@contextmanager
def in_words_of(names: Mapping[str, str]) -> Iterator[None]:
    """Name settings in errors as the user wrote them: on the command line, or in another section.

    Args:
        names: What stands between backticks in a message → what is to stand there; what begins
            with -- is an option, and gets its value as one does.

    Raises:
        PrefoptError: The error that was raised, with other words where it has such names.
    """
    try:
        yield
    except PrefoptError as error:
        text = re.sub(", beside `path`,?| beside `path`", "", str(error))
        for name, word in names.items():
            quoted = f"`{word}`" if " " not in word else word
            text = text.replace(f"`{name}`", quoted)
            with_value = partial(_typed, word)
            text = re.sub(f"`{re.escape(name)}: ([^`]*)`", with_value, text)
        if text == str(error):
            raise
        raise type(error)(text) from error


def _typed(word: str, setting: re.Match[str]) -> str:
    """A setting and its value, in YAML, by another word; an option takes each value by itself."""
    if not word.startswith("--"):
        return f"`{word}: {setting[1]}`"
    value = yaml.safe_load(setting[1])
    values = map(str, value if isinstance(value, list) else [value])
    words = (v if re.fullmatch(r"[\w.…-]+", v) else shlex.quote(v) for v in values)
    return f"`{' '.join(f'{word} {typed}' for typed in words)}`"
