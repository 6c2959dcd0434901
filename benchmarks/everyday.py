"""What the everyday commands cost as a store grows: `python -m benchmarks.everyday`.

A store with two manifests for each of `--prompts` prompts, each in a shard of its own, is made by a
run whose responses come from a file; then every command runs in a process of its own. Processor
time is compared with that of `python -c "import torch, polars, prefect"`, which takes its turn in
every round; what else the machine does slows both alike. `--code DIR` times the code in another
folder, such as a checkout of an earlier version, on the same store.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import yaml

from benchmarks.printing import progress, say, table
from prefopt_core.ground.ids import pair_id_of
from prefopt_core.store.store import Store

HERE = Path(__file__).parents[1]
YARDSTICK = ["-c", "import torch, polars, prefect"]
_JUDGE = "def judge(prompt, response):\n    return float(len(response))\n"


def prepare(folder: Path, prompts: int) -> Path:
    """Write a config of `aepo` with its files into a folder; returns its path."""
    rows = [
        {"prompt": f"Question {i}?", "responses": [f"answer {i} {j}" + " word" * j for j in (1, 2)]}
        for i in range(prompts)
    ]
    texts = folder / "prompts.jsonl"
    texts.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (folder / "judge.py").write_text(_JUDGE)
    config = {
        "flow": "aepo",
        "prompts": {"source": "file", "shard_size": 1, "params": {"path": str(texts)}},
        "generation": {"generator": "file", "n": 2, "params": {"path": str(texts)}},
        "embedding": None,
        "selection": {"strategy": "random"},
        "annotation": {
            "annotator": "function",
            "params": {"function": f"{folder / 'judge.py'}:judge"},
        },
        "budget": 2 * prompts,
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def cpu_of(command: Sequence[str], store: Path, code: Path) -> float:
    """Processor seconds of a Python process and of what it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {k: v for k, v in os.environ.items() if k != "PREFECT_API_URL"}
    environment |= {"PREFOPT_STORE": str(store), "PYTHONPATH": str(code)}
    subprocess.run(
        [sys.executable, *command], env=environment, check=True, stdout=subprocess.DEVNULL
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def a_pair(store: Path) -> str:
    """The id of a pair in the middle of the run's table."""
    opened = Store(store)
    (manifest,) = opened.manifests("pair")
    pairs = opened.read(manifest.output, ["prompt_id", "chosen_id", "rejected_id"])
    return pair_id_of(*pairs.row(pairs.height // 2))


def main() -> None:
    """Print a row a command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=6500, help="half as many as manifests")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--code", type=Path, default=HERE, help="whose `flows` to time")
    parser.add_argument("--folder", type=Path, help="keep the store here, and use it again")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        config, store = prepare(folder, asked.prompts), folder / "store"
        run = ["-m", "flows.cli", "run", str(config), "--no-server"]
        progress("making the store")
        cpu_of(run, store, HERE)
        commands = {
            "--help": ["-m", "flows.cli", "--help"],
            "list": ["-m", "flows.cli", "list"],
            "show verdicts": ["-m", "flows.cli", "show", "verdicts"],
            "cache ls": ["-m", "flows.cli", "cache", "ls"],
            "cache verify": ["-m", "flows.cli", "cache", "verify"],
            "trace": ["-m", "flows.cli", "trace", a_pair(store)],
            "plan, all hits": ["-m", "flows.cli", "plan", str(config)],
            "run --no-server, all hits": run,
            "run, all hits": run[:-1],
        }
        took: dict[str, list[float]] = {}
        for number in range(asked.rounds):
            progress(f"round {number + 1} of {asked.rounds}")
            for name, command in {"yardstick": YARDSTICK, **commands}.items():
                took.setdefault(name, []).append(cpu_of(command, store, asked.code))
        manifests = sum(1 for _ in store.glob("manifests/*/*.json"))
        locks = sum(1 for _ in store.glob("locks/*"))
    yardstick = median(took.pop("yardstick"))
    rows = [[n, f"{median(t):.2f}", f"{median(t) / yardstick:.2f}"] for n, t in took.items()]
    say(f"{manifests:,} manifests, {locks:,} locks; yardstick {yardstick:.2f} s\n")
    say(table(["command", "CPU s", "× yardstick"], rows, figures=True))


if __name__ == "__main__":
    main()
