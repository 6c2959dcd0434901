"""The Prefect server of runs answers programs and its own pages, and no page of anybody else."""

import json
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import pytest


@pytest.fixture
def ask(server):
    """Ask the server, under some headers; returns status, headers and content of the answer."""

    def ask(path, body=None, method=None, **headers):
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{server}{path}", data, names, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    return ask


@pytest.fixture
def port(server):
    return urlsplit(server).port


JSON = {"Content_Type": "application/json"}


@pytest.mark.slow
def test_a_page_of_another_origin_can_neither_read_nor_write(ask, port):
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{port + 1}", "", "http://["):
        assert ask("/flows/", {"name": "planted"}, Origin=origin, **JSON)[0] == 403
        assert ask("/flows/count", {}, Origin=origin, **JSON)[0] == 403
    asked = {"Origin": "http://evil.example", "Access_Control_Request_Method": "POST"}
    status, headers, _ = ask("/flows/", method="OPTIONS", **asked)
    assert status == 403
    assert "access-control-allow-origin" not in headers
    assert ask("/flows/name/planted")[0] == 404


@pytest.mark.slow
def test_a_name_that_others_let_point_here_is_not_answered(ask, port):
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "0.0.0.0", "["):
        status, _, content = ask("/health", Host=host)
        assert (status, b"under its own address" in content) == (403, True), host


@pytest.mark.slow
def test_its_own_pages_and_programs_are_answered(ask, port):
    assert ask("/flows/count", {}, **JSON)[0] == 200
    assert ask("/health", Host=f"localhost:{port}")[0] == 200
    for name in ("127.0.0.1", "localhost"):
        status, headers, _ = ask("/flows/count", {}, Origin=f"http://{name}:{port}", **JSON)
        assert status == 200
        assert headers["access-control-allow-origin"] == f"http://{name}:{port}"
    tunnel = {"Host": "localhost:5000", "Origin": "http://localhost:5000"}  # ssh -L 5000:…
    assert ask("/flows/count", {}, **tunnel, **JSON)[0] == 200


@pytest.mark.slow
def test_a_socket_is_opened_from_no_other_page(server):
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    url = server.replace("http", "ws", 1) + "/events/in"
    with connect(url, open_timeout=20):
        pass
    with pytest.raises(InvalidStatus, match="403"):
        connect(url, origin="http://evil.example", open_timeout=20)
