"""Who may talk to the page: checks of a request before it is answered, headers of every answer.

Responses of models are untrusted, so nothing in a page may run but the one script of our own. A
page of another site must not label in a person's name, not even by a name that it lets point to
this machine (DNS rebinding).
"""

import ipaddress
import secrets
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request

from prefopt_core.ground.loopback import means_this_machine

COOKIE = "prefopt_token"
"""Cookie that keeps the token, once it came with the address."""

MOST_BYTES = 64 * 1024
"""A verdict with its reason is smaller."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'none'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Guard:
    """What a request needs to be answered.

    Attributes:
        token: The secret that opens the page; None: everybody on this machine may.
    """

    token: str | None = None

    def refusal(self, request: Request) -> str | None:
        """Why a request is refused; None if it is not."""
        host = request.headers.get("host", "")
        if not self._is_ours(host):
            return f"This page is not known as {host!r}: open the address that the terminal shows."
        if self.token is not None and not self._has_token(request):
            return "The address lacks the token: open the one that the terminal shows."
        return None if request.method in ("GET", "HEAD") else _refusal_of_post(request, host)

    def opened_by(self, request: Request) -> bool:
        """Whether the token came with the address, so that the cookie is to be set."""
        said = request.query_params.get("token", "")
        return self.token is not None and secrets.compare_digest(said.encode(), self.token.encode())

    def _has_token(self, request: Request) -> bool:
        assert self.token is not None
        kept = request.cookies.get(COOKIE, "")
        same = secrets.compare_digest(kept.encode(), self.token.encode())
        return same or self.opened_by(request)

    def _is_ours(self, host: str) -> bool:
        """Whether nobody else can let this name point here: an address, or this machine's name."""
        if self.token is None or means_this_machine(host):
            return means_this_machine(host)
        try:
            split = urlsplit(f"//{host}")
            name, _ = (split.hostname or "").lower(), split.port
        except ValueError:
            return False
        own = socket.gethostname().lower()
        return _is_address(name) or name in (own, f"{own}.local", socket.getfqdn())


def _is_address(name: str) -> bool:
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def _refusal_of_post(request: Request, host: str) -> str | None:
    origin = request.headers.get("origin", "")
    if urlsplit(origin).netloc != host:
        return "This was sent from another page. Reload this one."
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        return "This is not what the page sends. Reload it."
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > MOST_BYTES:
        return f"More than {MOST_BYTES // 1024} kB. Shorten the reason."
    return None
