"""The Prefect server that `prefopt ui` and runs start: Prefect's own, to its own pages only.

Prefect answers whoever asks, by whatever name. A page of any site that is open in a browser on this
machine could then read runs and start some, by a name that it lets point here (DNS rebinding).
"""

import os
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from prefopt_core.ground.loopback import HERE, means_this_machine

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class ToItself:
    """An ASGI application that is asked only from its own pages, or from programs.

    Attributes:
        inner: The application that answers.
        port: Where it listens on this machine.
    """

    inner: Application
    port: int

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer, or refuse a request (403) or a socket."""
        if scope["type"] not in ("http", "websocket") or self._may_ask(dict(scope["headers"])):
            await self.inner(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            text = b"This server answers its own pages on this machine, under its own address."
            headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(text))]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": text})

    def _may_ask(self, headers: dict[bytes, bytes]) -> bool:
        host = headers.get(b"host", b"").decode("latin-1")
        origin = headers.get(b"origin")  # browsers say so, programs do not
        return means_this_machine(host) and (
            origin is None or origin.decode("latin-1") in {f"http://{host}", *own_pages(self.port)}
        )


def own_pages(port: int) -> list[str]:
    """The origins of a server's pages on this machine."""
    return [f"http://{f'[{name}]' if ':' in name else name}:{port}" for name in HERE]


def serve(descriptor: int) -> None:
    """Serve Prefect's API and pages as `prefect server start` does, on an open socket."""
    import uvicorn
    from prefect.server.api.server import create_app
    from prefect.settings import get_current_settings

    os.umask(0o077)  # its database has parameters and artifacts of runs
    settings = get_current_settings().server
    config = uvicorn.Config(
        ToItself(create_app(final=True), settings.api.port),
        timeout_keep_alive=settings.api.keepalive_timeout,
        ws_ping_interval=settings.api.websocket_ping_interval,
        ws_ping_timeout=settings.api.websocket_ping_timeout,
        log_level=settings.logging_level.lower(),
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])


if __name__ == "__main__":
    serve(int(sys.argv[1]))
