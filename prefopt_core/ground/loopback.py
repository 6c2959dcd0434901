"""This machine is reached directly, whatever proxy the environment names."""

import ipaddress
import os
from urllib.parse import urlsplit

HERE = ("localhost", "127.0.0.1", "::1")
"""Names of this machine."""

_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def means_this_machine(host: str) -> bool:
    """Whether a `Host` (name or address, perhaps a port) is this machine, whatever a DNS says.

    >>> means_this_machine("localhost:4200"), means_this_machine("[::1]:4200")
    (True, True)
    >>> means_this_machine("localhost.evil.example"), means_this_machine("127.0.0.1:x")
    (False, False)
    """
    try:
        split = urlsplit(f"//{host}")
        name, _ = (split.hostname or "").lower(), split.port
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def spare_loopback() -> None:
    """Add this machine to `NO_PROXY`, which every library reads, if a proxy is set at all."""
    names = [name for pair in ((p, p.upper()) for p in _PROXIES) for name in pair]
    if not any(os.environ.get(name) for name in names):
        return
    said = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    spared = [host.strip() for host in said.split(",") if host.strip()]
    both = ",".join(dict.fromkeys([*spared, *HERE]))
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = both
