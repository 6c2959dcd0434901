"""A real browser for tests: Debian's Chromium, without a window, driven by its own protocol."""

import base64
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from contextlib import contextmanager, suppress

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

# Without these it asks Google for updates; as root it cannot have a sandbox.
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip

needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="needs Chromium: apt-get install chromium")


@contextmanager
def started(profile, *arguments, **options):
    """A Chromium with a profile of its own, ended as a whole: its helpers outlive it otherwise."""
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", *arguments]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | options
    process = subprocess.Popen(command, start_new_session=True, **quiet)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Tab:
    """One page of a running Chromium, as a person has it before the eyes."""

    def __init__(self, socket):
        self._socket, self._count = socket, 0
        self.send("Page.enable")

    def send(self, method, **parameters):
        """A command of the DevTools protocol, and its result."""
        self._count += 1
        self._socket.send(json.dumps({"id": self._count, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=30))
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, url):
        """Load an address."""
        self.send("Page.navigate", url=url)

    def evaluate(self, script):
        """What a JavaScript expression comes to."""
        found = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait_for(self, script, seconds=20):
        """Wait until a JavaScript expression is true; returns what it came to."""
        deadline = time.monotonic() + seconds
        while True:
            with suppress(AssertionError):  # between two pages there is nothing to ask
                if found := self.evaluate(script):
                    return found
            assert time.monotonic() < deadline, f"{script} did not come true: {self.text()}"
            time.sleep(0.02)

    def text(self):
        """The text that can be read on the page."""
        return self.evaluate("document.body.innerText")

    def press(self, key):
        """Press a key of the keyboard."""
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        event = {"key": key, "text": text} if text else {"key": key}
        self.send("Input.dispatchKeyEvent", type="keyDown", **event)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key)

    def look_like(self, width, height, *, phone=False, dark=False):
        """Set the size of the window, and whether people like it dark."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=2 if phone else 1, mobile=phone,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def photograph(self, path):
        """Write what is seen as a .png."""
        picture = self.send("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(picture["data"]))


@contextmanager
def tab(profile):
    """A tab of a browser that nobody else uses."""
    from websockets.sync.client import connect

    with started(profile, "--remote-debugging-port=0", "about:blank"):
        file = profile / "DevToolsActivePort"
        deadline = time.monotonic() + 60
        while not (file.exists() and file.read_text().strip()):
            assert time.monotonic() < deadline, "Chromium did not start in 60 s"
            time.sleep(0.05)
        port = file.read_text().split()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as listed:
            (page,) = (one for one in json.load(listed) if one["type"] == "page")
        with connect(page["webSocketDebuggerUrl"], max_size=None, proxy=None) as socket:
            yield Tab(socket)


@contextmanager
def second_tab(profile):
    """Another tab of the browser that runs on a profile."""
    from websockets.sync.client import connect

    port = (profile / "DevToolsActivePort").read_text().split()[0]
    new = urllib.request.Request(f"http://127.0.0.1:{port}/json/new", method="PUT")
    with urllib.request.urlopen(new) as answer:
        address = json.load(answer)["webSocketDebuggerUrl"]
    with connect(address, max_size=None, proxy=None) as socket:
        yield Tab(socket)
