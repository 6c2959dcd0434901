"""What a run started ends with it, even if it is killed: nothing holds the GPU, or memory."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def running(store):
    """Command lines of the processes that work for a store, as their environment says."""
    variable, found = f"PREFOPT_STORE={store.root}".encode(), []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if variable in (path / "environ").read_bytes().split(b"\0"):
                found.append((path / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # gone, or somebody else's
            continue
    return found


def kill_alone(process, store, tools):
    """Kill a process, not its group; its children have a few seconds."""
    process.kill()
    process.wait()

    tools.until(lambda: not running(store), seconds=10)


@pytest.mark.parametrize("moment", ["starting", "training"])
def test_the_processes_of_a_training_end_with_the_run(
    settings, store, config_file, command, tools, moment
):
    settings["training"] |= {"processes": 2, "micro_batch_size": 2, "steps": 500, "save_every": 1}
    run = command("run", config_file(settings), "--no-server", PREFOPT_STORE=str(store.root))
    started = "work/train-*/checkpoints/*/complete"
    if moment == "starting":
        tools.until(lambda: any("end_with" in line for line in running(store)), 120, 0.01)
    else:
        tools.until(lambda: [*store.root.glob(started)], 120, 0.01)
        assert sum("prefopt_core.training.worker" in line for line in running(store)) >= 2
    kill_alone(run, store, tools)


@pytest.mark.parametrize("moment", ["starting", "running"])
def test_the_workers_of_a_comparison_end_with_it(
    settings, store, config_file, command, tools, moment
):
    settings["training"] |= {"steps": 500, "save_every": 1}
    arms = {"random": {"selection.strategy": "random"}, "aepo": {"selection.strategy": "aepo"}}
    said = {"title": "t", "claim": "c", "baseline": "random", "seeds": 2, "arms": arms}
    file = config_file(said | {"base": settings}, "arms.yaml")
    run = command("compare", file, "--workers", "2", "--no-server", PREFOPT_STORE=str(store.root))
    if moment == "starting":
        tools.until(lambda: sum("spawn_main" in line for line in running(store)) == 2, 120, 0.01)
    else:
        tools.until(lambda: len([*store.root.glob("work/train-*")]) == 2, 240, 0.05)
    kill_alone(run, store, tools)
