"""The exceptions for failures of a server, in words that name the settings to look at."""

from prefopt_core.ground.errors import ConfigError, ServerError
from prefopt_core.ground.ids import Prompt, last_text, quoted
from prefopt_core.models.server.endpoint import (
    RequestRefusedError,
    ServerSettings,
    TransientError,
)


def told(error: Exception, prompt: Prompt, server: ServerSettings, kept: str) -> Exception:
    """The exception to raise for a failure.

    Args:
        error: What `Endpoint.ask` raised; another one is returned as it is.
        prompt: What was asked.
        server: Who was asked.
        kept: The sentence about what has arrived.
    """
    url = server.base_url
    if isinstance(error, RequestRefusedError):
        said = quoted(last_text(prompt.messages))
        advice = server.wording.advice(error.status)
        what = "to answer" if error.status in (401, 403, 404) else f"the prompt {said}"
        return ConfigError(f"{url} refuses {what}: {error}. {advice} {kept}")
    if isinstance(error, TransientError):
        return ServerError(
            f"{url} gave no answer in {server.max_attempts} attempts; at last: {error}. See to "
            f"the server, lower `{server.wording.where}.concurrency`, or raise `timeout_s` or "
            f"`max_attempts`. {kept}"
        )
    return error
