"""Serve the page from this machine, until it is interrupted or all is done."""

import secrets
import socket
import webbrowser
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import uvicorn

from flows.desk.app import create_app
from prefopt_core.ground.errors import ConfigError, PrefoptError
from prefopt_core.labels.desk import Desk

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Page:
    """How the page is served, and what is on it.

    Attributes:
        host: An address of this machine; any but `LOOPBACK` needs a token, which is drawn.
        port: Where it listens.
        guidelines: What people are told, Markdown.
        scale: A single response is scored 1 to this, at most 10.
        browser: Whether to open it in a browser.
        after: What the page says happens once all is answered.
    """

    host: str
    port: int
    guidelines: str
    scale: int = 5
    browser: bool = False
    after: str = (
        "a deployed run goes on by itself, one from a terminal with the command that started it. "
        "If it asks for more, the questions appear here."
    )

    def __post_init__(self) -> None:
        if not 2 <= self.scale <= 10:
            raise ConfigError(f"--scale is {self.scale}: it takes 2 to 10.")


def serve(
    desk: Desk,
    page: Page,
    told: Callable[[str], AbstractContextManager[None]],
    on_done: Callable[[], bool],
) -> bool:
    """Serve the page; returns whether the last label was given, and not Ctrl-C pressed.

    Args:
        desk: What is asked.
        page: How it is served.
        told: Is told the address; the page is served within the block that it opens.
        on_done: Called when the last label is on disk; returns whether to stop serving.

    Raises:
        PrefoptError: The port is taken, or the host is no address of this machine.
        StoreError: The label store cannot be opened.
    """
    token = None if page.host in LOOPBACK else secrets.token_urlsafe(16)
    with _listening(page.host, page.port) as listening, desk.kept_open():

        def done() -> None:
            server.should_exit = on_done()

        app = create_app(
            desk,
            page.guidelines,
            scale=page.scale,
            after=page.after,
            token=token,
            on_done=done,
        )
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=2,
        )
        server = uvicorn.Server(config)
        address = _address(page.host, page.port, token)
        with told(address):
            if page.browser:
                webbrowser.open(address)
            try:
                server.run(sockets=[listening])
            except KeyboardInterrupt:  # uvicorn has stopped by now
                return False
    return server.should_exit


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
        # Without it the end of an answer waits 40 ms for an acknowledgement.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except (OSError, OverflowError) as error:
        raise PrefoptError(
            f"The page cannot be served at {host}:{port}: {error}. Is another one there, or "
            "`prefopt annotate` itself? Use another `--port`, or a `--host` of this machine."
        ) from error


def _address(host: str, port: int, token: str | None) -> str:
    if token is None:
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"
    name = _own_address() if host in ("0.0.0.0", "::") else host
    return f"http://{f'[{name}]' if ':' in name else name}:{port}/?token={token}"


def _own_address() -> str:
    """This machine's address in its network; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("10.255.255.255", 1))
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()
