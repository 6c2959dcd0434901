"""The loop that faults befall: two rounds that pay for labels, and its undisturbed run.

The undisturbed run is stopped for a moment whenever it has finished something, and its store is
copied: a copy is what a kill would leave there. Faults begin at one of these, or from nothing.
"""

import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from benchmarks.faults.proc import state_of
from benchmarks.faults.trial import BUDGET, CALLS, Process, Trial

_JUDGE = f'''
import os
import time

def gold(prompt, response):
    return float(sum(map(ord, response)) % 17)

def score(prompt, response):
    """Costs money: every answer is a line of a file of its own."""
    time.sleep(0.03)
    with open(os.environ["{CALLS}"], "a") as file:
        print(repr((prompt, response)), file=file)
    return gold(prompt, response)
'''


def _config(judge: Path) -> dict[str, Any]:
    words = {"max_new_tokens": 12}
    paid, free = (
        {"annotator": "function", "params": {"function": f"{judge}:{name}"}}
        for name in ("score", "gold")
    )
    sizes = {"hidden_size": 32, "layers": 1, "heads": 2, "vocabulary": 512}
    return {
        "flow": "align",
        "name": "loop",
        "policy": {"source": "helpdesk", "params": {"steps": 12, "batch_size": 16, **sizes}},
        "prompts": {"source": "helpdesk", "shard_size": 4, "params": {"count": 40}},
        "generation": {"n": 4, "params": words},
        "embedding": {"embedder": "hashing"},
        "annotation": paid,
        "budget": BUDGET,
        "rounds": [{"prompts": 4, "labels": 8}, {"prompts": 6, "labels": 4}],
        "training": {
            "loss": "noise_aware",
            "learning_rate": 1e-3,
            "steps": 6,
            "batch_size": 4,
            "micro_batch_size": 4,
            "max_length": 256,
            "save_every": 1,
        },
        "evaluation": free | {"prompts": 6, "generation": {"n": 1, "params": words}},
    }


@dataclass
class Loop:
    """The undisturbed run, and what it left whenever it had finished something.

    Attributes:
        folder: Of all trials.
        trial: The undisturbed run.
        copies: Folders as that of a trial, in order; there is something left to do in each.
        seconds: That it took, but for the copying.
    """

    folder: Path
    trial: Trial
    copies: list[Path] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def last(self) -> int:
        """The most progress at which something is left to do."""
        return self.trial.progress() - 1

    def begin(self, name: str, defect: str, at: Path | None = None) -> Trial:
        """A trial in a folder of its own: from nothing, or from one of the copies."""
        folder = self.folder / "trials" / name
        if at is None:
            folder.mkdir(parents=True)
        else:
            shutil.copytree(at, folder, symlinks=True)
        trial = Trial(folder, self.trial.config, defect)
        trial.killed = len(trial.answers()) - max(trial.ledger()[0], 0)  # under way then
        return trial


def undisturbed(folder: Path) -> Loop:
    """Run the loop once, and keep what it leaves whenever it has finished something."""
    judge = folder / "judge.py"
    judge.write_text(_JUDGE)
    config = folder / "loop.yaml"
    config.write_text(yaml.safe_dump(_config(judge)))
    home = folder / "undisturbed"
    home.mkdir()
    loop = Loop(folder, Trial(home, config))
    running = loop.trial.start()
    seen, copying, began = 0, 0.0, time.monotonic()
    while running.process.poll() is None:
        if (now := loop.trial.progress()) != seen:
            started, seen = time.monotonic(), now
            with _still(running.process):
                loop.copies.append(_copied(home, folder / "copies" / str(len(loop.copies))))
            copying += time.monotonic() - started
        time.sleep(0.003)
    loop.seconds = time.monotonic() - began - copying
    said = running.end()
    if said.code != 0:
        raise SystemExit(f"The undisturbed run failed:\n{said.out}{said.err}")
    loop.copies.pop()  # nothing was left to do
    return loop


@contextmanager
def _still(process: Process) -> Iterator[None]:
    """The process stands still within the block; a signal takes a moment to arrive."""
    process.send_signal(signal.SIGSTOP)
    try:
        while process.poll() is None and state_of(process.pid) not in ("T", "t"):
            time.sleep(0.001)
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def _copied(home: Path, target: Path) -> Path:
    ours = shutil.ignore_patterns("*.out", "*.err")
    return Path(shutil.copytree(home, target, symlinks=True, ignore=ours))
