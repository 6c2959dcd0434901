"""What stages side by side save: `python -m benchmarks.overlap`.

Runs with `execution.overlap` and without take turns, each in a new store that holds the start
policy already. The loop of presets/tiny.yaml; the same with an annotator that is slow, for labels
and for evaluation; with --quickstart that of `prefopt run quickstart`. Both come to the same
tables, or this ends with an error. What can be saved is the shorter of two sides: asking on one,
writing and scoring responses on the other. The loops of tiny.yaml and quickstart ask a function of
a bench world, which answers at once: nothing can be saved there, and nothing is tried.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from benchmarks.printing import cores, head, line, load, say
from benchmarks.timing import in_turn, median
from flows.api import Source, run
from prefopt_core.experiments.sources import load_run
from prefopt_core.store.store import Store
from tasks.models import load_policy
from tasks.session import Session, session

HERE = Path(__file__).parents[1]
SLOW = """
import time
from prefopt_core.worlds.helpdesk import oracle

def score(prompt, response):
    time.sleep({seconds})
    return oracle.score(prompt, response)
"""
SHARDED = {
    "prompts.shard_size": 4,
    "evaluation.prompts": 20,
}


def timed(source: Source, changes: Mapping[str, Any], overlap: bool) -> tuple[float, Any]:
    """(seconds of the run, what it made, by stage and key)."""
    with tempfile.TemporaryDirectory() as folder:
        return _timed(source, changes, overlap, Store(Path(folder)))


def _timed(
    source: Source, changes: Mapping[str, Any], overlap: bool, store: Store
) -> tuple[float, Any]:
    _, config = load_run(source, changes)
    with session(Session(store=store)):
        load_policy(config.policy, config.seed)
    began = time.perf_counter()
    run(source, {**changes, "execution.overlap": overlap}, store=store.root, quiet=True)
    seconds = time.perf_counter() - began
    return seconds, {(m.stage, m.key): m.output for m in store.manifests()}


def main() -> None:
    """Print a row for each run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.2, help="of the slow annotator's answer")
    parser.add_argument("--quickstart", action="store_true", help="also that; takes minutes")
    options = parser.parse_args()
    say(f"median of {options.rounds} rounds; {cores()}, {load()}\n")
    say(head(["run", "off, s", "on, s", "on / off", "range"], figures=True))
    with tempfile.TemporaryDirectory() as temporary:
        slow = Path(temporary) / "slow.py"
        slow.write_text(SLOW.format(seconds=options.seconds))
        tiny = yaml.safe_load((HERE / "presets/tiny.yaml").read_text())["base"]
        asks = {f"{who}.params.function": f"{slow}:score" for who in ("annotation", "evaluation")}
        runs: dict[str, tuple[Source, dict[str, Any]]] = {
            f"{options.seconds:g} s an answer": (tiny, SHARDED | asks),
            "tiny": (tiny, {}),
        }
        if options.quickstart:
            runs["quickstart"] = ("quickstart", {})
        for name, (source, changes) in runs.items():
            ways = {way: partial(timed, source, changes, way == "on") for way in ("off", "on")}
            found = in_turn(ways, options.rounds)
            assert all(made == found["off"][0][1] for way in found.values() for _, made in way)
            off, on = (median([took for took, _ in found[way]]).seconds for way in ("off", "on"))
            ratios = sorted(b / a for (a, _), (b, _) in zip(*found.values(), strict=True))
            spread = f"{ratios[0]:.2f}–{ratios[-1]:.2f}"
            say(line([name, f"{off:.1f}", f"{on:.1f}", f"{on / off:.2f}", spread]))


if __name__ == "__main__":
    main()
