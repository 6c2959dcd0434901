"""The loop that faults befall: two rounds that pay for labels, and its undisturbed run.

The undisturbed run is stopped for a moment whenever it has finished something, and its store is
copied: a copy is what a kill would leave there. Faults begin at one of these, or from nothing.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Union

import yaml

from benchmarks.faults.planted import program_with
from benchmarks.faults.warm import FIXED, Limits, Warm
from prefopt_core.ground.files import TEMPORARY
from prefopt_core.store.store import STORE
from prefopt_core.training.resume import MARKER

HERE = Path(__file__).parents[2]
PATIENCE_S = 240.0
CALLS = "FAULTS_CALLS"
BUDGET = 12
CLI = ("-m", "flows.cli")
Process = Union["subprocess.Popen[bytes]", Warm]

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


class Unavailable(Exception):  # noqa: N818 - nothing is wrong
    """What a fault needs is not there on this machine."""


@dataclass
class Said:
    """A command that was run.

    Attributes:
        words: What was typed.
        code: Exit status; negative: the signal that ended it.
        out: What it printed.
        err: What it printed as errors.
    """

    words: tuple[str, ...]
    code: int
    out: str
    err: str


@dataclass
class Trial:
    """A store, and the commands that were run on it.

    Attributes:
        folder: Has everything of the trial.
        config: Of the loop.
        defect: Planted in the code of its runs; "": none.
        said: The commands so far.
        killed: How many were killed: each loses the one answer that is under way.
        touched: Files of the store that a fault damaged; what they belong to is made again.
        rebought: Answers that nothing but a damaged ledger had: they may be bought again.
        other_runs: Whether also other settings were run: then there is more than the loop's own.
        budget: Of labels, for all runs of the name.
        sessions: Of the processes that were started: forks have no environment of their own.
    """

    folder: Path
    config: Path
    defect: str = ""
    said: list[Said] = field(default_factory=list)
    killed: int = 0
    touched: set[Path] = field(default_factory=set)
    rebought: set[str] = field(default_factory=set)
    standing: dict[Path, int] = field(default_factory=dict)
    other_runs: bool = False
    budget: int = BUDGET
    sessions: list[int] = field(default_factory=list)

    @property
    def store(self) -> Path:
        """The folder of the store."""
        return self.folder / "store"

    @property
    def calls(self) -> Path:
        """A line an answer of the annotator."""
        return self.folder / "calls"

    def start(
        self,
        *words: str,
        before: Sequence[str] = (),
        env: dict[str, str] | None = None,
        limits: Limits | None = None,
    ) -> "Running":
        """Start `prefopt` with these words.

        Args:
            words: What follows `prefopt`; nothing: the loop, without a server.
            before: A program that starts it, with its arguments.
            env: Variables beside those that all have; with these, or `before`, it is no fork.
            limits: Of its resources.
        """
        words = words or self.run_words()
        number = len(list(self.folder.glob("*.out")))
        files = self.folder / f"{number}.out", self.folder / f"{number}.err"
        environment = self.environment() | (env or {})
        if before or env:
            process: Process = self._started(words, before, environment, files)
        else:
            process = Warm(words, self.defect, self.folder, environment, files, limits or {})
        self.sessions.append(process.pid)
        return Running(self, words, process, *files)

    def _started(
        self,
        words: Sequence[str],
        before: Sequence[str],
        environment: dict[str, str],
        files: tuple[Path, Path],
    ) -> "subprocess.Popen[bytes]":
        program = program_with(self.defect) if self.defect else CLI
        out, err = files
        with out.open("wb") as out_file, err.open("wb") as err_file:
            return subprocess.Popen(
                [*before, sys.executable, *program, *words],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out_file,
                stderr=err_file,
                start_new_session=True,
            )

    def run(self, *words: str, **how: Any) -> Said:
        """Run `prefopt` with these words to its end; as `start`."""
        return self.start(*words, **how).end()

    def run_words(self, *more: str, server: bool = False) -> tuple[str, ...]:
        """The command that runs the loop."""
        return ("run", str(self.config), *more, *([] if server else ["--no-server"]))

    def environment(self) -> dict[str, str]:
        """Variables of all commands: of this machine, but for what points elsewhere."""
        left_out = ("PREFECT_", "RAY_", "PREFOPT_")
        usual = {k: v for k, v in os.environ.items() if not k.startswith(left_out)}
        return usual | {
            "PYTHONPATH": str(HERE),
            **FIXED,
            "COLUMNS": "200",
            STORE: str(self.store),
            CALLS: str(self.calls),
        }

    def progress(self) -> int:
        """Grows with everything the loop finishes: results, labels, checkpoints."""
        return len(self.manifests()) + len(self.answers()) + max(self.checkpoints(), default=0)

    def later(self, rng: Random, last: int) -> int:
        """A progress that is still to come."""
        now = self.progress()
        return rng.randint(now, max(now, last))

    def manifests(self) -> list[Path]:
        """Those that are written."""
        paths = (self.store / "manifests").glob("*/*.json")
        return [path for path in paths if TEMPORARY not in path.name]

    def checkpoints(self) -> dict[int, Path]:
        """Step → folder of the finished checkpoints of the training that goes on."""
        markers = self.store.glob(f"work/train-*/checkpoints/checkpoint-*/{MARKER}")
        return {int(path.parent.name.rpartition("-")[2]): path.parent for path in markers}

    def answers(self) -> list[str]:
        """What the annotator has answered."""
        try:
            return self.calls.read_text().splitlines()
        except FileNotFoundError:
            return []

    def stage(self) -> str:
        """The stage that runs, or ran when it was killed."""
        names = {path.name.partition("-")[0] for path in (self.store / "locks").glob("*-*")}
        return ", ".join(sorted(names - {"labels", "run", "holder", "model"})) or "between stages"

    def processes(self) -> list[int]:
        """Ids of the processes that were started for this store and still run."""
        mine = f"{STORE}={self.store}"
        return [
            pid
            for pid in _running()
            if _session_of(pid) in self.sessions or mine in _environment_of(pid)
        ]

    def note_standing(self) -> None:
        """From now on, nothing that is finished and whole may be made again."""
        stands = {}
        for path in self.manifests():
            with suppress(OSError, ValueError, TypeError, KeyError):
                named = {path, *_objects_of(self.store, json.loads(path.read_bytes())["output"])}
                if not any(touched in named for touched in self._touched_objects()):
                    stands[path] = path.stat().st_mtime_ns
        self.standing = stands

    def _touched_objects(self) -> set[Path]:
        """What is damaged; of a file in a folder, the folder."""
        objects = self.store / "objects"
        return {
            objects / Path(*path.relative_to(objects).parts[:2])
            if path.is_relative_to(objects)
            else path
            for path in self.touched
        }


@dataclass
class Running:
    """A command that runs."""

    trial: Trial
    words: tuple[str, ...]
    process: Process
    out: Path
    err: Path

    def end(self) -> Said:
        """Wait for its end; one that takes too long is killed, with all it started."""
        try:
            code = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            code = 124
        texts = (path.read_text(errors="replace") for path in (self.out, self.err))
        said = Said(self.words, code, *texts)
        self.trial.said.append(said)
        return said

    def at(self, moment: int, delay_s: float = 0.0) -> bool:
        """Wait until the trial's progress is `moment`; whether it still runs then."""
        while self.process.poll() is None:
            if self.trial.progress() >= moment:
                time.sleep(delay_s)
                return self.process.poll() is None
            time.sleep(0.003)
        return False

    def children(self) -> list[int]:
        """Ids of the processes that it has started, and of those that they have."""
        return [pid for pid in self.trial.processes() if pid != self.process.pid]

    def kill(self, how: signal.Signals = signal.SIGKILL) -> Said:
        """End it, and not what it has started."""
        self.process.send_signal(how)
        if how == signal.SIGKILL:
            self.trial.killed += 1
        return self.end()


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
        return Trial(folder, self.trial.config, defect)


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
            running.process.send_signal(signal.SIGSTOP)
            loop.copies.append(_copied(home, folder / "copies" / str(len(loop.copies))))
            running.process.send_signal(signal.SIGCONT)
            copying += time.monotonic() - started
        time.sleep(0.003)
    loop.seconds = time.monotonic() - began - copying
    said = running.end()
    if said.code != 0:
        raise SystemExit(f"The undisturbed run failed:\n{said.out}{said.err}")
    loop.copies.pop()  # nothing was left to do
    return loop


def _copied(home: Path, target: Path) -> Path:
    ours = shutil.ignore_patterns("*.out", "*.err")
    return Path(shutil.copytree(home, target, symlinks=True, ignore=ours))


def _objects_of(store: Path, output: dict[str, Any]) -> list[Path]:
    from prefopt_core.store.artifacts import Artifact, Folder
    from prefopt_core.store.local import LocalStore

    kind = Artifact if "table" in output else Folder
    return [path for path, _ in LocalStore(store).objects(kind.model_validate(output))]


def _running() -> Iterator[int]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if path.read_text().rpartition(")")[2].split()[0] != "Z":
                yield int(path.parent.name)


def _session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return -1


def _environment_of(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:  # gone, or somebody else's
        return []
