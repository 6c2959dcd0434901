"""The automation of the guide: who is told of a failed run, by a webhook."""

import re
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def heard():
    """(URL of a loopback server, what was posted to it)."""
    posted = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            posted.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.end_headers()

        def log_message(self, *said): ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", posted
        server.shutdown()


def test_a_failed_run_tells_and_neither_its_rounds_nor_a_good_one(
    prefect, heard, write, tools, monkeypatch
):
    from prefect import flow
    from prefect.blocks.webhook import Webhook

    address, posted = heard
    block = Webhook(method="POST", url=address).save("tell", overwrite=True)
    page = (tools.repository / "docs/operations.md").read_text()
    text = re.search(r"```yaml\n(name: tell me.*?)```", page, re.DOTALL)[1]
    file = write("notify.yaml", text.replace("BLOCK_ID", str(block)))
    monkeypatch.setenv("PREFECT_API_URL", prefect)
    create = [sys.executable, "-m", "prefect", "automation", "create", "--from-file", str(file)]
    subprocess.run(create, check=True, capture_output=True)
    time.sleep(3)  # until the server watches

    def ends(name, run_name, failing):
        def body():
            if failing:
                raise ValueError("failing")

        flow(name=name, flow_run_name=run_name)(body)(return_state=True)

    ends("round", "round 1", failing=True)
    ends("align", "good", failing=False)
    ends("align", "mine", failing=True)
    tools.until(lambda: posted)
    time.sleep(3)  # for what should not come
    assert posted == ["mine failed"]
