"""Errors a user can cause. Each message says what happened, what was expected, and what to do."""


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
