"""A store, and the commands that are run on it."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Union

from benchmarks.faults.planted import program_with
from benchmarks.faults.proc import environment_of, running, session_of
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

    @property
    def last_line(self) -> str:
        """What it said last."""
        return (self.err or self.out).strip().rpartition("\n")[2]


@dataclass
class Trial:
    """A store, and the commands that were run on it.

    Attributes:
        folder: Has everything of the trial.
        config: Of the loop.
        defect: Planted in the code of its runs; "": none.
        said: The commands so far.
        killed: How many were killed, a copy's among them: each loses the one answer under way.
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

    def ledger(self) -> tuple[int, int, int]:
        """(labels, the most that an account has spent, labels held); (-1, 0, 0): not to be read."""
        path = self.store / "labels.sqlite"
        if not path.exists():
            return 0, 0, 0
        try:
            with closing(sqlite3.connect(path)) as connection:
                (labels,) = connection.execute("SELECT COUNT(*) FROM verdicts").fetchone()
                (spent,) = connection.execute("SELECT MAX(labels) FROM accounts").fetchone()
                (held,) = connection.execute("SELECT TOTAL(labels) FROM holds").fetchone()
        except sqlite3.DatabaseError:
            return -1, 0, 0
        return labels, spent or 0, int(held)

    def stage(self) -> str:
        """The stage that runs, or ran when it was killed."""
        names = {path.name.partition("-")[0] for path in (self.store / "locks").glob("*-*")}
        return ", ".join(sorted(names - {"labels", "run", "holder", "model"})) or "between stages"

    def processes(self) -> list[int]:
        """Ids of the processes that were started for this store and still run."""
        mine = f"{STORE}={self.store}"
        return [
            pid
            for pid in running()
            if session_of(pid) in self.sessions or mine in environment_of(pid)
        ]

    def note_standing(self) -> None:
        """From now on, nothing that is finished and whole may be made again."""
        stands = {}
        for path in filter(Path.is_file, self.manifests()):  # reading a pipe would never end
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


def _objects_of(store: Path, output: dict[str, Any]) -> list[Path]:
    from prefopt_core.store.artifacts import Artifact, Folder
    from prefopt_core.store.local import LocalStore

    kind = Artifact if "table" in output else Folder
    return [path for path, _ in LocalStore(store).objects(kind.model_validate(output))]
