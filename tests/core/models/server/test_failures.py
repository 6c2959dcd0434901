"""Errors in the place of a response are told from responses, which may be about errors."""

import pytest

from prefopt_core.models.server.failures import is_failure

ERRORS = [
    "upstream connect error or disconnect/reset before headers. reset reason: overflow",
    "upstream request timeout",
    "no healthy upstream",
    "Internal Server Error",
    "  502 Bad Gateway\n",
    "503: Service Temporarily Unavailable",
    "HTTP 504 Gateway Time-out",
    "502 Bad Gateway\nnginx/1.18.0",
    "error code: 521",
    "<html>\n<head><title>502 Bad Gateway</title></head><body><hr>nginx</body></html>",
    "<!DOCTYPE html><html><title>Error 520</title>cloudflare</html>",
    '{"error": {"message": "overloaded", "type": "server_error", "code": 503}}',
    '{"error": "upstream failed", "status": 502}',
    '{"object": "error", "message": "x", "error": true}',
]
RESPONSES = [
    "",
    "500",
    "512.",
    "502 Bad Gateway is an answer of a proxy.",
    "Internal server errors are the server's.",
    "Stream timeouts happen.",
    "No healthy upstream is left, says Envoy.",
    "<html><title>My page</title><body>500 cats</body></html>",
    '{"error": null, "message": "ok"}',
    '{"error": "x", "answer": 4}',
    '{"error_rate": 0.5}',
    '{"error": broken',
]


@pytest.mark.parametrize("text", ERRORS)
def test_errors_as_text(text):
    assert is_failure(text, "stop")


@pytest.mark.parametrize("text", RESPONSES)
def test_responses_about_errors(text):
    assert not is_failure(text, "stop")
    assert not is_failure(text, "length")


def test_interruptions_by_their_reason():
    assert is_failure("Half a", "error")
    assert is_failure(None, "abort")
    assert not is_failure(None, "content_filter")
    assert not is_failure("Half a", "none")
