"""Whether a server with OpenAI's API could be asked: one request for its models, which is free."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from typing import Any

from prefopt_core.ground.errors import Lacking
from prefopt_core.ground.loopback import spare_loopback
from prefopt_core.models.server.address import missing_key
from prefopt_core.models.server.secrets import key_in, masked

_PATIENCE_S = 4.0
_REFUSED = (401, 403)
_LONGEST = 4 * 2**20
"""Bytes of a list of models, at most."""
_LISTED = 5
"""Names of models in a message, at most."""


def probed(base_url: str, model_name: str, api_key_env: str | None) -> Iterator[str]:
    """What speaks against asking a model of a server, by its list of models (GET …/models).

    A server without such a list says nothing against it.

    Args:
        base_url: The server's address, as `check_address` accepts it.
        model_name: The model's name there.
        api_key_env: The environment variable that holds the key; None: it needs none.

    Yields:
        `Lacking` where nothing can be bought: no key, no answer, the key refused; a plain doubt
        where the list does not have the model.
    """
    key = key_in(api_key_env)
    absent = [Lacking(doubt) for doubt in missing_key(base_url, api_key_env)]
    if absent:
        yield from absent
        return
    try:
        names = _models(base_url, key)
    except urllib.error.HTTPError as error:
        if error.code in _REFUSED:
            holder = f"the key in {api_key_env}" if api_key_env else "requests without a key"
            yield Lacking(f"{base_url} refuses {holder} ({error.code}). Check `api_key_env`.")
    except (OSError, HTTPException) as error:
        reason = masked(str(getattr(error, "reason", error)), key)
        yield Lacking(f"{base_url} does not answer ({reason}). Start it, or check `base_url`.")
    else:
        if names and model_name not in names:
            shown = masked(", ".join(names[:_LISTED]), key) + " …" * (len(names) > _LISTED)
            yield f"{base_url} does not list the model {model_name!r}; it lists {shown}."


def _models(base_url: str, key: str) -> list[str]:
    """The names that the server lists; none where the answer is no such list."""
    spare_loopback()
    headers = {"User-Agent": "prefopt"} | ({"Authorization": f"Bearer {key}"} if key else {})
    request = urllib.request.Request(f"{base_url.rstrip('/')}/models", headers=headers)
    with urllib.request.build_opener(_Here).open(request, timeout=_PATIENCE_S) as answer:
        body = answer.read(_LONGEST)
    try:
        return sorted(str(model["id"]) for model in json.loads(body)["data"])
    except (ValueError, TypeError, LookupError, RecursionError):
        return []


class _Here(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the key would go along."""

    def redirect_request(self, *_: Any) -> None:
        """Nothing is asked elsewhere; the redirect itself is the answer."""
