"""This machine is reached directly, whatever proxy the environment names."""

import os

HERE = ("localhost", "127.0.0.1", "::1")
"""Names of this machine."""

_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def spare_loopback() -> None:
    """Add this machine to `NO_PROXY`, which every library reads, if a proxy is set at all."""
    names = [name for pair in ((p, p.upper()) for p in _PROXIES) for name in pair]
    if not any(os.environ.get(name) for name in names):
        return
    said = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    spared = [host.strip() for host in said.split(",") if host.strip()]
    both = ",".join(dict.fromkeys([*spared, *HERE]))
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = both
