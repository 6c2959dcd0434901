import pytest

from prefopt_core.annotation import Request


def ask(prompt, response, **logps):
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    return Request(messages, response, **logps)


@pytest.fixture(scope="session")
def request_for():
    """A request to judge one response to a prompt that is a text or a list of messages."""
    return ask
