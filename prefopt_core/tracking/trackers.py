"""The four trackers, each as accelerate's `GeneralTracker`: what they need, and how they open.

Keys and addresses come from the variables and files that each tool itself reads.
"""

import io
import os
import re
import shlex
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import yaml

from prefopt_core.ground.errors import ConfigError

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker


@dataclass(frozen=True)
class TrackedRun:
    """A run, as trackers are told of it.

    Attributes:
        name: Of the run, in the tracker too.
        project: That it belongs to.
        folder: Of its pages, `runs/NAME`, for what trackers write beside them.
        settings: All of them, in sections as in YAML.
        id: By which the tracker knows it; "": it does not yet.
    """

    name: str
    project: str
    folder: Path
    settings: Mapping[str, Any]
    id: str = ""


@dataclass(frozen=True)
class Opened:
    """A tracker that takes figures.

    Attributes:
        tracker: That of accelerate.
        id: By which it will know the run again.
        where: How a person gets to see it.
        options: What its `log` is called with besides.
    """

    tracker: "GeneralTracker"
    id: str
    where: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log figures at a step."""
        self.tracker.log(dict(values), step=step, **self.options)

    def finish(self) -> None:
        """End the tracker's run; it can be opened again."""
        with _quiet():
            self.tracker.finish()


def ready(names: Collection[str]) -> None:
    """See that trackers can be opened, without doing it.

    Raises:
        ConfigError: One is not installed, or has no login.
    """
    if missing := [name for name in names if find_spec(name) is None]:
        are = "are" if len(missing) > 1 else "is"
        raise ConfigError(
            f"{', '.join(missing)} {are} not installed. Type `pip install {' '.join(missing)}`, or "
            "shorten `tracking.report_to`."
        )
    if "wandb" in names:
        _logged_in()


def project_of(name: str, setting: str | None) -> str:
    """The project of a tracker: as the config says, else the tool's variable, else prefopt."""
    return setting or os.environ.get(_PROJECTS.get(name, ""), "prefopt")


def opened(name: str, run: TrackedRun) -> Opened:
    """Open a tracker; one that does not know the run yet begins it, and is told its settings.

    Raises:
        Exception: Whatever the tool raises, such as when its server does not answer.
    """
    from accelerate import PartialState

    PartialState()  # accelerate's trackers write their log by it
    with _quiet():
        return TRACKERS[name](run)


def _tensorboard(run: TrackedRun) -> Opened:
    from accelerate.tracking import TensorBoardTracker

    if not run.id:
        shutil.rmtree(run.folder / "tensorboard", ignore_errors=True)
    tracker = TensorBoardTracker("tensorboard", run.folder)
    tracker.start()
    if not run.id:  # accelerate's way to store them makes another run of TensorBoard's for them
        text = yaml.safe_dump(dict(run.settings), sort_keys=False, allow_unicode=True)
        tracker.log({"settings": indent(text, "    ")}, step=0)  # Markdown shows that as it is
    where = f"tensorboard --logdir {shlex.quote(str(run.folder.parent))}"
    return Opened(tracker, "tensorboard", where)


def _wandb(run: TrackedRun) -> Opened:
    import wandb
    from accelerate.tracking import WandBTracker

    known = {n: v for n, v in _WANDB.items() if n in wandb.Settings.model_fields}
    beside = {} if os.environ.get("WANDB_DIR") else {"dir": str(run.folder)}
    tracker = WandBTracker(
        run.project,
        name=run.name,
        id=run.id or uuid4().hex[:8],
        resume="allow",
        config=None if run.id else flat(run.settings),
        settings=known,
        reinit="create_new",  # beside a run that the user's own code may have open
        **beside,
    )
    tracker.start()
    made = tracker.run
    offline = Path(made.dir).parent.parent / f"offline-run-*-{made.id}"
    return Opened(tracker, made.id, made.url or f"wandb sync {offline}")


def _mlflow(run: TrackedRun) -> Opened:
    import mlflow
    from accelerate.tracking import MLflowTracker

    # Its own 7 mean that a server which is gone holds the run up for four minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    if not mlflow.is_tracking_uri_set():  # by default a file in whatever folder a run starts in
        mlflow.set_tracking_uri(f"sqlite:///{run.folder.parent.resolve() / 'mlflow.db'}")
    tracker = MLflowTracker(run_id=run.id or None, run_name=run.name)
    tracker.experiment_name = run.project  # accelerate prefers the variable to the argument
    tracker.start()
    if not run.id:
        tracker.store_init_configuration(flat(run.settings))
    own, uri = tracker.tracker.info.run_id, without_login(mlflow.get_tracking_uri())
    where = f"mlflow ui --backend-store-uri {shlex.quote(uri)}"
    # By its id: the run that is active is another one in another thread.
    return Opened(tracker, own, uri if uri.startswith("http") else where, {"run_id": own})


def _trackio(run: TrackedRun) -> Opened:
    from accelerate.tracking import TrackioTracker

    tracker = TrackioTracker(
        run.project,
        name=run.name,
        resume="allow" if run.id else "never",
        config=None if run.id else flat(run.settings),
        embed=False,
    )
    tracker.start()
    return Opened(tracker, run.name, f"trackio show --project {shlex.quote(run.project)}")


TRACKERS: dict[str, Callable[[TrackedRun], Opened]] = {
    "mlflow": _mlflow,
    "tensorboard": _tensorboard,
    "trackio": _trackio,
    "wandb": _wandb,
}
_PROJECTS = {
    "mlflow": "MLFLOW_EXPERIMENT_NAME",
    "trackio": "TRACKIO_PROJECT",
    "wandb": "WANDB_PROJECT",
}
"""The variable by which each tool says where runs belong."""


_WANDB = {
    "silent": True,
    "console": "off",  # what is printed has texts of models
    "finish_timeout": 120.0,  # else a run whose network is gone never ends
    "finish_timeout_raises": True,
}
"""Settings of wandb; versions before 0.31 may not know all of them."""


def without_login(text: str) -> str:
    """A text whose addresses name neither user nor password.

    >>> without_login("no answer from https://me:secret@host/api")
    'no answer from https://host/api'
    """
    return re.sub(r"://[^/@\s]+@", "://", text)


def flat(settings: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Settings by their dotted names.

    >>> flat({"seed": 0, "generation": {"n": 4}})
    {'seed': 0, 'generation.n': 4}
    """
    found: dict[str, Any] = {}
    for name, value in settings.items():
        own = isinstance(value, Mapping) and value
        found |= flat(value, f"{where}{name}.") if own else {f"{where}{name}": value}
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the tools print, which would stand between our lines."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        yield


def _logged_in() -> None:
    import wandb

    with _quiet():
        settings = wandb.setup().settings
        if settings.mode in ("offline", "disabled", "dryrun"):
            return
        try:
            if wandb.login(prompt=False, verify=False):
                return
            why = "wandb has no login"
        except Exception as error:  # a key that cannot be one
            why = without_login(str(error))
    raise ConfigError(
        f"{why.rstrip('.')}. Set WANDB_API_KEY or type `wandb login`; WANDB_MODE=offline keeps the "
        "figures on this machine."
    )
