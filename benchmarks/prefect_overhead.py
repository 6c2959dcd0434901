"""What Prefect costs a run: `python -m benchmarks.prefect_overhead`.

The loop of presets/tiny.yaml, as short as a run of two rounds gets, is run whole in a new store
each time: without Prefect, against a server that is up already, and with a server of its own. They
take turns. What Prefect adds hardly grows with the length of a run: it has a task a stage, whatever
the stage computes. CPU is that of the run and of what it starts; a server that is up is not.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path

import yaml

from benchmarks.printing import cores, load, say, table
from benchmarks.timing import children_cpu, in_turn, median
from flows.server import USUAL_URL, answers, own_server
from prefopt_core.store.store import STORE

HERE = Path(__file__).parents[1]
ADDRESS = "PREFECT_API_URL"
_PORT = 4231


def seconds_of(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, numbers: Iterator[int]
) -> tuple[float, float]:
    """Run in a store of its own; returns (wall, CPU) seconds."""
    store = {STORE: str(folder / f"store-{next(numbers)}")}
    wall, cpu = time.perf_counter(), children_cpu()
    subprocess.run(
        [sys.executable, "-m", "flows.cli", "run", *command],
        env={k: v for k, v in os.environ.items() if k != ADDRESS} | dict(environment) | store,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - wall, children_cpu() - cpu


def main() -> None:
    """Print a row a way of running it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    if answers(USUAL_URL):
        parser.error(f"a run without a server of its own would take the one at {USUAL_URL}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        config = folder / "tiny.yaml"
        base = yaml.safe_load((HERE / "presets/tiny.yaml").read_text())["base"]
        config.write_text(yaml.safe_dump(base))
        os.environ[STORE] = str(folder)  # of the server that is up
        run = partial(seconds_of, folder=folder, numbers=count())
        with own_server(_PORT) as url:
            took = in_turn(
                {
                    "--no-server": partial(run, [str(config), "--no-server"], {}),
                    "a server that is up": partial(run, [str(config)], {ADDRESS: url}),
                    "a server of its own": partial(run, [str(config)], {}),
                },
                rounds,
            )
    figures = {
        way: [median(clock).seconds for clock in zip(*times, strict=True)]
        for way, times in took.items()
    }
    wall, cpu = figures["--no-server"]
    rows = [
        [way, f"{w:.1f}", f"{w / wall:.2f}", f"{c:.1f}", f"{c / cpu:.2f}"]
        for way, (w, c) in figures.items()
    ]
    say(f"median of {rounds} rounds; {cores()}, {load()}\n")
    say(table(["run with", "wall s", "×", "CPU s", "×"], rows, figures=True))


if __name__ == "__main__":
    main()
