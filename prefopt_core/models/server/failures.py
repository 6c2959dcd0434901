"""Failures that come as answers: an upstream's error with HTTP status 200, as text or as a field.

Gateways and proxies in front of a model pass errors on in the place of its words. They are no
responses: the request is repeated, and what an earlier version has kept is bought again.
"""

import json
import re
from contextlib import suppress

FAILED = frozenset(
    ("error", "abort", "aborted", "cancelled", "canceled", "timeout", "server_error", "failed")
) | {"network_error", "insufficient_system_resource", "engine_overloaded"}
"""Finish reasons with which servers say that they were interrupted."""

_NAMES = r"internal server error|bad gateway|service (temporarily )?unavailable|gateway time-?out"
_SERVERS = r"nginx|openresty|cloudflare|apache|envoy|varnish|haproxy"
_CODE = r"(http |error |error code: ?|status code:? ?)"
_TEXTS = re.compile(
    r"upstream connect error or disconnect/reset before headers"
    r"|(upstream request timeout|no healthy upstream|stream timeout)\W*$"
    rf"|({_CODE}*5\d\d[:,]? +)?({_NAMES})\W*(({_SERVERS})\S*)?$"
    rf"|{_CODE}+5\d\d\W*$"
    rf"|<(!doctype )?html.{{0,400}}(5\d\d|{_NAMES}).{{0,1200}}({_SERVERS})",
    re.IGNORECASE | re.DOTALL,
)
_TROUBLE = re.compile(
    r"overload|time[d -]*out|rate.?limit|too many|unavailable|upstream|internal|server|gateway"
    r"|capacity|connection|quota",
    re.IGNORECASE,
)
"""What is the matter with servers; to prompts for JSON `{"error": …}` may be the answer."""
_FIELDS = {"error", "message", "code", "type", "status", "detail", "object", "param", "request_id"}


def is_failure(text: str | None, finish_reason: str) -> bool:
    """Whether a choice is an error that stands where a response should.

    >>> is_failure("502 Bad Gateway", "stop"), is_failure('{"error": "overloaded"}', "stop")
    (True, True)
    >>> is_failure("A 502 Bad Gateway means that the server behind a proxy fails.", "stop")
    False
    >>> is_failure('{"error": "The text names no date."}', "stop")
    False
    """
    return finish_reason in FAILED or (text is not None and _is_error(text.strip()))


def _is_error(text: str) -> bool:
    if text.startswith("{") and '"error"' in text:
        with suppress(ValueError):
            body = json.loads(text)
            error = body.get("error")
            named = isinstance(error, dict) or body.get("object") == "error"
            of_server = named or _TROUBLE.search(text)
            return bool(error and of_server) and body.keys() <= _FIELDS
    return bool(_TEXTS.match(text))
