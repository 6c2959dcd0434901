"""The verb `pilot`: from few labels, whether self-labels are worth a try."""

from typing import Annotated, cast

from cyclopts import Parameter

from flows.console import ConsoleObserver, print_parts
from flows.pilot import pilot as pilot_of
from flows.planning import print_doubts
from flows.preflight import certain, refuse_what_lacks
from flows.running import awaiting
from flows.terminal import Terminal
from flows.verbs.options import Whole
from flows.verbs.run import Changes, Config, changes_of, typed_run
from prefopt_core.experiments.base import Experiment
from prefopt_core.experiments.checks import check
from prefopt_core.experiments.continuing import numbered, paid
from prefopt_core.experiments.flows import AlignConfig
from prefopt_core.experiments.sources import load_run
from prefopt_core.ground.errors import ConfigError
from prefopt_core.labels.store import LabelStore
from prefopt_core.reports.pilot import pilot_parts
from tasks.session import Session, current_store, executing, listing, session


def pilot(
    config: Config,
    /,
    *changes: Changes,
    labels: Annotated[Whole, Parameter(help="to buy: the first of round 1")] = 40,
    folds: Annotated[Whole, Parameter(help="parts of them that are judged unseen")] = 4,
) -> None:
    """Buy a part of the first round's labels, and say how often the judge agrees with them.

    Raises:
        ConfigError: The config is of another flow, or round 1 has no such number of labels.
    """
    flow, experiment = load_run(config, changes_of(changes))
    experiment = _checked(flow, experiment, labels, folds)
    store, console = current_store(), Terminal()
    typed = typed_run(config, changes)
    experiment = paid(numbered(experiment, store), store, typed)
    doubts = check(experiment, LabelStore.of(store))
    print_doubts(certain(doubts), console)
    with ConsoleObserver(console) as observer, session(Session(observer=observer, command=typed)):
        with listing() as stages:
            pilot_of(experiment, labels, folds)
        refuse_what_lacks(doubts, lambda: pilot_of(experiment, labels, folds))
        bought = sum(stage.labels for stage in stages)
        trained = sum(stage.stage == "train" and stage.state != "hit" for stage in stages)
        console.tell(f"Labels to buy: at most {bought:,}. Trainings: {trained}.")
        with awaiting(experiment), executing(experiment.execution):
            metrics = store.read(pilot_of(experiment, labels, folds))
    learns = experiment.judge.annotator == "policy"
    parts = pilot_parts(metrics, labels, experiment.rounds[0].labels, learns=learns)
    print_parts(parts, console)


def _checked(flow: str, experiment: Experiment, labels: int, folds: int) -> AlignConfig:
    """The config, if a pilot of so many labels and folds can be made of it."""
    if flow != "align":
        raise ConfigError(f"The flow is {flow!r}: a pilot is of `align`, whose rounds buy labels.")
    config = cast(AlignConfig, experiment)
    most, fewest = config.rounds[0].labels, config.fewest_labels
    if not most:
        raise ConfigError("Round 1 buys no labels, and a pilot is of some: set `rounds.0.labels`.")
    if not fewest <= labels <= most:
        raise ConfigError(
            f"--labels is {labels}: a pilot buys a part of the {most} labels of round 1, and one "
            f"prompt takes {fewest}. Name a number in between."
        )
    if config.judge.annotator != "policy":  # which learns nothing
        return config
    if folds < 2:
        raise ConfigError(f"--folds is {folds}: it takes two, to judge one by the other.")
    if labels // fewest < folds:
        raise ConfigError(
            f"--labels is {labels}: that pays for {labels // fewest} prompts, too few for {folds} "
            "folds. Buy more, or ask for fewer folds (--folds)."
        )
    return config
