"""Settings with which a server is reached: the address, the key's variable, further fields."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from prefopt_core.ground.errors import ConfigError
from prefopt_core.models.server.secrets import key_in

SAMPLING = {"n", "seed", "temperature", "top_p", "max_tokens", "max_completion_tokens"}
OURS = {"model", "messages", "prompt", "stream"} | SAMPLING
"""Fields of requests that prefopt sends itself."""


@dataclass(frozen=True)
class Wording:
    """How a member that asks servers calls what is its own.

    Attributes:
        where: Prefix of its settings, such as `generation.params`.
        refused: Which settings to check, where a server refuses a request.
    """

    where: str
    refused: str

    def advice(self, status: int) -> str:
        """What to do about a refusal with that HTTP status."""
        return {
            401: f"Check the key in the environment variable that `{self.where}.api_key_env` "
            "names.",
            403: f"Check that the key `{self.where}.api_key_env` names may use this model.",
            404: f"Check `{self.where}.model_name`, and `base_url`, which mostly ends in /v1.",
            429: "The account has no credit left.",
        }.get(status, f"Check `{self.where}`: {self.refused}.")


def check_address(
    where: str, base_url: str, extra_body: Mapping[str, Any] | None, ours: Collection[str] = OURS
) -> None:
    """See whether requests could go to that address with those further fields.

    Args:
        where: Prefix of the settings in messages, such as `generation.params`.
        base_url: The server's address.
        extra_body: Further fields of every request.
        ours: Fields that it may not have, as prefopt sends them.

    Raises:
        ConfigError: They cannot.
    """
    url = urlsplit(base_url)
    if url.scheme not in ("http", "https") or not url.hostname or url.username or url.password:
        raise ConfigError(
            f"`{where}.base_url` must be http(s)://host/v1 or the like, without user or "
            "password; a key belongs in the environment variable that `api_key_env` names."
        )
    if found := sorted(set(ours) & set(extra_body or {})):
        raise ConfigError(
            f"`{where}.extra_body` has {', '.join(found)}, which prefopt sends itself. "
            "Use the settings of that meaning (`prefopt list`)."
        )


def missing_key(base_url: str, api_key_env: str | None) -> Iterator[str]:
    """The doubt that nothing can be bought, if the key's variable is not set.

    Raises:
        ConfigError: What is in it can be no key.
    """
    if api_key_env and not key_in(api_key_env):
        yield f"the variable {api_key_env} is not set: nothing can be bought from {base_url}."
