"""What others do beside the loop: a second run, an edited config, `gc` and `rm` while it runs."""

from random import Random

from benchmarks.faults.trial import Running, Trial

_EDITS = (
    "training.learning_rate=0.002", "training.steps=5", "generation.params.temperature=0.7",
    "selection.strategy=random", "generation.n=5", "seed=1",
)  # fmt: skip
"""Those of the later ones ask for other labels."""


def two_runs(trial: Trial, rng: Random, last: int) -> str:
    """Two runs of one config at once, of one store and one budget; one may be killed."""
    first = trial.start()
    first.at(trial.later(rng, last), rng.uniform(0, 0.3))
    second = trial.start()
    dies = rng.random() < 0.5
    if dies:
        second.at(trial.later(rng, last), rng.uniform(0, 0.3))
        first.kill()
    for running in [second] if dies else [first, second]:
        _must_end_well(running)
    return "one killed" if dies else "both to the end"


def edited(trial: Trial, rng: Random, last: int) -> str:
    """The config is edited between two kills: the budget is one."""
    edits = rng.sample(_EDITS, 2)
    trial.other_runs = True
    for words in (trial.run_words(*edits[:1]), trial.run_words(*edits)):
        now = trial.progress()
        running = trial.start(*words)
        # It counts also what the other settings have made: the run may well be over before.
        if running.at(now + rng.randint(1, 30), rng.uniform(0, 0.2)):
            running.kill()
        else:
            running.end()
    if (spent := trial.ledger()[1]) > trial.budget:
        raise AssertionError(f"{spent} labels of {trial.budget} were bought")
    return " and ".join(sorted(edit.partition("=")[0] for edit in edits))


def raised(trial: Trial) -> None:
    """What the message says: a larger budget, and the rest is bought."""
    trial.budget *= 2
    trial.run(*trial.run_words(f"budget={trial.budget}"))


def garbage_collected(trial: Trial, rng: Random, last: int) -> str:
    """`prefopt cache gc` while the loop runs, twice."""
    running = trial.start()
    for _ in range(2):
        running.at(trial.later(rng, last), rng.uniform(0, 0.2))
        trial.run("cache", "gc")
    _must_end_well(running)
    return "twice"


def results_removed(trial: Trial, rng: Random, last: int) -> str:
    """`prefopt cache rm STAGE`, and `gc`, while the loop runs."""
    running = trial.start()
    running.at(trial.later(rng, last), rng.uniform(0, 0.2))
    stages = sorted({path.parent.name for path in trial.manifests()})
    place = "nothing"
    if stages:
        place = rng.choice(stages)
        trial.run("cache", "rm", place)
        trial.run("cache", "gc")
    code = running.end().code  # what it still needs may be gone: then it says so
    return f"{place}{', told' if code else ''}"


def _must_end_well(running: Running) -> None:
    said = running.end()
    if said.code != 0:
        raise AssertionError(f"a run did not go on: {said.last_line}")
