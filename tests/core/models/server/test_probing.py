"""A server's list of models says whether it could be asked."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from prefopt_core.ground.errors import Lacking
from prefopt_core.models.server.probing import probed

LIST = json.dumps({"data": [{"id": "small"}, {"id": "large"}]})


class _Lists(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        status, text, headers = self.server.answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def serve():
    """Start a server that gives one answer; its address, and what it was asked."""
    servers = []

    def serve(status=200, text=LIST, **headers):
        server = ThreadingHTTPServer(("127.0.0.1", 0), _Lists)
        server.answer, server.asked = (status, text, headers), []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/v1", server.asked

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv("A_KEY", "k-1")
    return "A_KEY"


def test_a_model_that_is_listed_is_no_doubt(serve, key):
    url, asked = serve()
    assert list(probed(url, "small", key)) == []
    assert asked == [("/v1/models", "Bearer k-1")]


def test_a_model_that_is_not_listed_is_a_doubt_that_names_those_there_are(serve):
    url, asked = serve()
    (doubt,) = probed(f"{url}/", "smal", None)
    assert doubt == f"{url}/ does not list the model 'smal'; it lists large, small."
    assert not isinstance(doubt, Lacking)  # a gateway may know more than it lists
    assert asked == [("/v1/models", None)]


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_lacks(serve, key, status):
    url, _ = serve(status)
    (doubt,) = probed(url, "small", key)
    assert isinstance(doubt, Lacking)
    assert f"refuses the key in A_KEY ({status})" in doubt
    assert "refuses requests without a key" in next(probed(url, "small", None))
    assert "k-1" not in doubt


def test_a_key_that_is_not_set_lacks_and_nothing_is_asked(serve):
    url, asked = serve()
    (doubt,) = probed(url, "small", "NO_SUCH_KEY")
    assert isinstance(doubt, Lacking)
    assert "NO_SUCH_KEY is not set" in doubt
    assert asked == []


@pytest.mark.parametrize(
    ("status", "text"),
    [(404, ""), (500, ""), (200, "<html>"), (200, '{"data": 3}'), (200, '{"data": []}')],
)
def test_a_server_without_a_list_is_no_doubt(serve, status, text):
    assert list(probed(serve(status, text)[0], "small", None)) == []


def test_nobody_at_the_address_lacks():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        (doubt,) = probed(f"http://127.0.0.1:{taken.getsockname()[1]}/v1", "small", None)
    assert isinstance(doubt, Lacking)
    assert "does not answer" in doubt
    assert "refused" in doubt


def test_the_key_does_not_follow_a_redirect(serve, key):
    elsewhere, heard = serve()
    url, _ = serve(302, "", Location=f"{elsewhere}/models")
    assert list(probed(url, "small", key)) == []
    assert heard == []
