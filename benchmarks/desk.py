"""Verdicts per minute that the page of `prefopt annotate` takes: `python -m benchmarks.desk`.

A real server in a process of its own; people who answer at once, each in a thread, over HTTP.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from statistics import quantiles

from prefopt_core.annotation.identity import identity
from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.ground.ids import candidate_id_of, prompt_id_of
from prefopt_core.labels.account import Allowance
from prefopt_core.labels.purchase import buying
from prefopt_core.labels.questions import Question, Shown
from prefopt_core.labels.store import LabelStore

_TEXT = "Open the settings, choose *account*, then `reset`.\n\n1. Wait.\n2. Look again.\n\n" * 8


def question(number: int) -> Question:
    """A question with two responses of 600 characters, in Markdown."""
    messages = [{"role": "user", "content": f"How do I reset password {number}?"}]
    prompt_id = prompt_id_of(messages)
    texts = (f"{_TEXT}{number}", f"{number}{_TEXT}")
    shown = tuple(Shown(candidate_id_of(prompt_id, text), text) for text in texts)
    return Question(prompt_id, messages, shown)


def person(port: int, by: str, deadline: float) -> list[float]:
    """Answer until the deadline; returns the seconds from each verdict to the next question."""
    host, took = f"127.0.0.1:{port}", []
    headers = {"content-type": "application/json", "origin": f"http://{host}"}
    headers["cookie"] = f"prefopt_annotator={by}"
    connection = HTTPConnection(host, timeout=60)

    def post(path: str, body: dict[str, object]) -> dict[str, list[dict[str, object]]]:
        connection.request("POST", path, json.dumps(body), headers)
        return json.loads(connection.getresponse().read())

    cards = post("/question", {})["cards"]
    while cards and time.monotonic() < deadline:
        said = {name: cards[0][name] for name in ("prompt_id", "responses")}
        started = time.perf_counter()
        held = [card["id"] for card in cards]
        verdict = {"state": "given", "ranks": [1, 2], "seconds": 5, "held": held}
        cards = post("/verdict", said | verdict)["cards"]
        took.append(time.perf_counter() - started)
    return took


def measured(questions: int, people: int, seconds: float) -> tuple[float, float, float]:
    """(verdicts per minute, median and 95th percentile of the answer's time in ms)."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        kept = LabelStore(Path(folder))
        with buying(
            kept, identity(AnnotationConfig(annotator="people")), Allowance("us", questions)
        ) as purchase:
            purchase.hold(questions)
            purchase.publish((question(number), 1) for number in range(questions))
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        server = subprocess.Popen(
            [sys.executable, "-m", "flows.cli", "annotate", "--port", str(port)],
            env=os.environ | {"PREFOPT_STORE": folder},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            server.stdout.readline()
            urllib.request.urlopen(f"http://127.0.0.1:{port}").read()  # is up
            deadline = time.monotonic() + seconds
            with ThreadPoolExecutor(people) as pool:
                names = [f"person{number}" for number in range(people)]
                lists = list(pool.map(lambda by: person(port, by, deadline), names))
        finally:
            server.terminate()
            server.wait()
    took = [one for some in lists for one in some]
    cuts = quantiles(took, n=20)
    return 60 * len(took) / seconds, 1000 * cuts[9], 1000 * cuts[18]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0)
    seconds = parser.parse_args().seconds
    for questions in (1_000, 10_000):
        for people in (1, 4):
            rate, middle, slow = measured(questions, people, seconds)
            print(
                f"{questions:>6,} questions, {people} at once: {rate:>6,.0f} verdicts a minute, "
                f"{middle:.0f} ms to the next question (95 %: {slow:.0f} ms)"
            )


if __name__ == "__main__":
    main()
