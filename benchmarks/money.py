"""What a cap in money costs a judge's speed: `python -m benchmarks.money`.

A server on this machine, in a process of its own, that answers at once; labels bought and grades
given without `max_cost` and with it, in turn.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import polars as pl

from benchmarks.timing import in_turn, once
from prefopt_core.annotation.settings import AnnotationConfig, AnnotatorConfig
from prefopt_core.annotation.table import buy_labels, judge
from prefopt_core.ground.ids import candidate_id_of, prompt_id_of
from prefopt_core.labels.account import Allowance, paying
from prefopt_core.labels.asked import Asked
from prefopt_core.labels.store import LabelStore

_SAID = {"role": "assistant", "content": json.dumps({"reason": "So it is.", "better": "A"})}
_ANSWER = {
    "id": "1",
    "object": "chat.completion",
    "created": 0,
    "model": "j",
    "choices": [{"index": 0, "finish_reason": "stop", "message": _SAID}],
    "usage": {"prompt_tokens": 500, "completion_tokens": 20, "total_tokens": 520},
}


class _Judge(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(_ANSWER).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 128


def _serve(tell: Connection) -> None:
    with _Server(("127.0.0.1", 0), _Judge) as server:
        tell.send(server.server_address[1])
        server.serve_forever()


@contextmanager
def served() -> Iterator[str]:
    """The address of a judge that likes the first response of every pair."""
    ours, theirs = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}/v1"
    finally:
        process.terminate()
        process.join()


def asked(pairs: int) -> Asked[pl.DataFrame]:
    """So many prompts with two responses each, all to be labelled."""
    prompts = [[{"role": "user", "content": f"How do I reset password {i}?"}] for i in range(pairs)]
    ids = [prompt_id_of(messages) for messages in prompts]
    texts = [(p, t) for i, p in enumerate(ids) for t in (f"Open settings {i}.", f"Ask Ann {i}.")]
    rows = [(p, candidate_id_of(p, text), text) for p, text in texts]
    columns = ["prompt_id", "candidate_id", "response"]
    candidates = pl.DataFrame(rows, columns, orient="row").with_row_index("rank")
    table = pl.DataFrame({"prompt_id": ids, "prompt": prompts})
    return Asked(candidates.drop("response"), candidates, table)


def verdicts_a_second(url: str, pairs: int, max_cost: float | None, *, labels: bool) -> float:
    """Have both orders of every pair judged, with an empty store; as labels, or as grades."""
    params = {"base_url": url, "model_name": "j", "price_prompt": 1.0, "price_completion": 1.0}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PREFOPT_STORE"] = folder
        kept, tables = LabelStore(Path(folder)), asked(pairs)
        # With an account that counts labels alone nothing is held for a request.
        allowance = None if max_cost is None else Allowance("us", pairs, max_cost)

        def buy() -> pl.DataFrame:
            config = AnnotationConfig(annotator="llm-judge", params=params)
            return buy_labels(tables, config, pairs, kept, seed=0, allowance=allowance)

        def grade() -> pl.DataFrame:
            with paying(kept, allowance):
                return judge(tables, AnnotatorConfig(annotator="llm-judge", params=params))

        table, time = once(buy if labels else grade)
    return table.height / time.seconds


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with served() as url:
        verdicts_a_second(url, 10, None, labels=True)
        for what in ("labels", "grades"):
            free, capped = in_turn(
                {
                    name: partial(
                        verdicts_a_second, url, options.pairs, most, labels=what == "labels"
                    )
                    for name, most in (("without", None), ("with", 1e3))
                },
                options.rounds,
            ).values()
            low, *_, high = ratios = sorted(b / a for a, b in zip(free, capped, strict=True))
            print(
                f"{what}: {median(free):,.0f} verdicts a second without max_cost, "
                f"{median(capped):,.0f} with it: {median(ratios):.2f} ({low:.2f} to {high:.2f})"
            )


if __name__ == "__main__":
    main()
