"""Small runs of the real flows: a store, a config and a Prefect server for tests."""

import copy
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from flows.cli import main
from flows.lookup import flow_of
from flows.own_server import own_server
from prefopt_core.experiments.flows import CONFIGS
from prefopt_core.ground.files import TEMPORARY
from prefopt_core.store.store import Store
from tasks.session import Session, session

REPOSITORY = Path(__file__).parents[2]

# As `prefopt run` sets it, also where a test imports Prefect before: its console is the captured
# one of that test, and would be closed in the next.
os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")

_SCORER = '''
import os
import time

def gold(prompt, response):
    return float(sum(map(ord, response)) % 17)

def score(prompt, response):
    """Costs money: counted in a file, if one is named, after a while to think."""
    if path := os.environ.get("CALLS"):
        time.sleep(0.05)
        with open(path, "a") as file:
            print(repr((prompt, response)), file=file)
    return gold(prompt, response)
'''


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def prefopt(capsys):
    """Run a command line in this process; returns (exit code, output, error output)."""

    def prefopt(*arguments):
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return prefopt


@pytest.fixture(scope="session")
def scorer(tmp_path_factory):
    """A file of the user's with two functions: `score` is paid for, `gold` costs nothing."""
    path = tmp_path_factory.mktemp("scorer") / "score.py"
    path.write_text(_SCORER)
    return path


@pytest.fixture(scope="session")
def prompts_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("prompts") / "prompts.csv"
    path.write_text("prompt\n" + "".join(f"How do I mend number {i}?\n" for i in range(24)))
    return path


@pytest.fixture(scope="session")
def usual_settings(tiny_model, prompts_file, scorer):
    """Settings of a run of two rounds that takes seconds."""
    sampling = {"max_new_tokens": 8, "temperature": 0.9}
    paid, free = (
        {"annotator": "function", "params": {"function": f"{scorer}:{name}"}}
        for name in ("score", "gold")
    )
    return {
        "flow": "align",
        "policy": {"source": "pretrained", "params": {"path": str(tiny_model)}},
        "prompts": {"source": "file", "shard_size": 4, "params": {"path": str(prompts_file)}},
        "generation": {"n": 4, "params": sampling},
        "embedding": {"embedder": "hashing"},
        "annotation": paid,
        "budget": 13,
        "rounds": [{"prompts": 6, "labels": 9}, {"prompts": 8, "labels": 4}],
        "training": {
            "learning_rate": 1e-3,
            "steps": 2,
            "batch_size": 4,
            "micro_batch_size": 4,
            "max_length": 128,
            "save_every": 2,
        },
        "evaluation": free | {"prompts": 6, "generation": {"n": 1, "params": sampling}},
    }


@pytest.fixture
def settings(usual_settings):
    """The usual settings, to be changed at will."""
    return copy.deepcopy(usual_settings)


@pytest.fixture
def given_candidates(scorer, write):
    """Settings of a run without a model: 2 of 3 given responses to each of 4 prompts."""
    rows = [f"Question {i},Answer {j} to {i}" for i in range(4) for j in range(3)]
    path = str(write("pool.csv", "\n".join(["prompt,response", *rows])))
    return {
        "flow": "aepo",
        "generation": {"generator": "file", "params": {"path": path}},
        "embedding": {"embedder": "hashing"},
        "annotation": {"annotator": "function", "params": {"function": f"{scorer}:gold"}},
        "budget": 8,
    }


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store for one test, which the environment names."""
    return _use(tmp_path / "store", monkeypatch)


@pytest.fixture
def other_store(tmp_path, monkeypatch):
    """Make a second store the one that is used, and return it."""
    return lambda: _use(tmp_path / "other_store", monkeypatch)


def _use(folder, monkeypatch):
    monkeypatch.setenv("PREFOPT_STORE", str(folder))
    return Store(folder)


class Listener:
    """Remembers which stages were found in the store, and why the others were computed."""

    def __init__(self):
        self.outcomes, self.reasons = [], []

    def started(self, stage): ...

    def progressed(self, stage, done, total):
        assert 0 <= done <= total

    def finished(self, stage, outcome):
        self.outcomes.append((stage, outcome.cached))
        self.reasons += [(stage, reason) for reason in outcome.reasons[:1]]

    def noticed(self, text): ...


@pytest.fixture(scope="session")
def listened(run):
    """Run settings and listen; returns (result, what a `Listener` remembers)."""

    def listened(settings):
        listener = Listener()
        with session(Session(observer=listener)):
            return run(settings), listener

    return listened


@pytest.fixture(scope="session")
def first_run(usual_settings, listened, tmp_path_factory):
    """The run of `settings` in a store of its own, which is not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFOPT_STORE", str(folder / "store"))
        patch.setenv("CALLS", str(folder / "calls"))
        result, listener = listened(usual_settings)
    return SimpleNamespace(
        store=Store(folder / "store"), calls=folder / "calls", result=result, listener=listener
    )


@pytest.fixture
def finished(first_run, store):
    """A store in which the run of `settings` has finished."""
    shutil.copytree(first_run.store.root, store.root)
    return store


@pytest.fixture
def config_file(tmp_path):
    """Write settings as the YAML file that a user would have."""

    def config_file(settings, name="run.yaml"):
        path = tmp_path / name
        path.write_text(yaml.safe_dump(settings))
        return path

    return config_file


@pytest.fixture
def contents():
    """Every finished object of a store: relative path → digest of its bytes."""

    def contents(store):
        objects = store.root / "objects"
        return {
            path.relative_to(objects).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(objects.rglob("*"))
            if path.is_file() and not path.name.startswith(TEMPORARY)
        }

    return contents


@pytest.fixture(scope="session")
def run():
    """Run a flow as a function, without Prefect."""

    def run(settings):
        flow, config = parsed(settings)
        return flow.fn(config)

    return run


def parsed(settings):
    """(flow, config) of settings with a key `flow`."""
    settings = dict(settings)
    name = settings.pop("flow")
    return flow_of(name), CONFIGS[name].model_validate(settings)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The API's URL of a Prefect server for all tests, with a store of its own."""
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PREFOPT_STORE", str(tmp_path_factory.mktemp("server")))
            url = stack.enter_context(own_server(free_port()))
        yield url


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def prefect(server):
    """This process talks to the server, as a flow run by hand would, but for its heartbeats."""
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        temporary_settings,
    )

    import flows.waiting  # noqa: F401, Prefect's logging would keep the capture of one test

    # A flow that sends heartbeats waits a second for the last one.
    with temporary_settings({PREFECT_API_URL: server, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield server


@pytest.fixture
def command():
    """Start `prefopt` as a process in a group of its own; what still runs at the end is killed."""
    started = []

    def command(*arguments, program=("-m", "flows.cli"), cwd=REPOSITORY, **environment):
        process = subprocess.Popen(
            [sys.executable, *program, *map(str, arguments)],
            cwd=cwd,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY), "COLUMNS": "200"} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield command
    for process in started:
        kill(process)
        process.communicate()


def kill(process):
    """SIGKILL to a process and all it started in its group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def until(condition, seconds=60, every=0.1):
    """Wait for a condition; returns what it returned."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{condition} did not come true in {seconds} s"
        time.sleep(every)
    return found


def parts_of(run_id):
    """A filter for a flow run and its parts, in Prefect."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterId,
        FlowRunFilterParentFlowRunId,
    )

    parts = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run_id]))
    with get_client(sync_client=True) as client:
        ids = [run_id, *(part.id for part in client.read_flow_runs(flow_run_filter=parts))]
    return FlowRunFilter(id=FlowRunFilterId(any_=ids))


@pytest.fixture
def tools():
    """`kill`, `until`, `free_port` and the others of this file that need no fixture."""
    return SimpleNamespace(
        kill=kill,
        until=until,
        free_port=free_port,
        parsed=parsed,
        parts_of=parts_of,
        repository=REPOSITORY,
    )
