"""prefopt from Python: `run`, `plan` and `select`, for notebooks and scripts; no server is needed.

    from flows.api import run
    finished = run("my.yaml", {"budget": 24})
    finished.metrics  # a polars frame

The package index's `prefopt` is another project's: import `flows`, `tasks` and `prefopt_core`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from flows.console import ConsoleObserver, print_parts
from flows.lookup import flow_of, stages_named
from flows.planning import plan_run
from flows.preflight import certain
from flows.terminal import Terminal
from prefopt_core.embedding.settings import EmbeddingConfig
from prefopt_core.embedding.table import embed_candidates
from prefopt_core.experiments.base import Experiment
from prefopt_core.experiments.checks import check
from prefopt_core.experiments.continuing import numbered
from prefopt_core.experiments.sources import load_run
from prefopt_core.export.preferences import COLUMNS as COLUMNS_OF_PAIRS
from prefopt_core.export.preferences import as_exported
from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.ids import candidate_id_of, digest_of
from prefopt_core.ground.settings import problems_of
from prefopt_core.labels.store import LabelStore
from prefopt_core.reports.page import Part
from prefopt_core.reports.rounds import rounds_in_words
from prefopt_core.selection.settings import SelectionConfig, SimilarityConfig
from prefopt_core.selection.table import COLUMNS, select_responses
from prefopt_core.store.store import Store
from tasks.session import Session, current_store, session

_WIDTH = 110
"""Characters of a line of what a notebook shows."""
Source = str | Path | Mapping[str, Any]
"""A YAML file, the name of a run that comes with prefopt, or settings as in a file."""


@dataclass(frozen=True)
class Finished:
    """What a run came to.

    Attributes:
        flow: Name of the flow.
        config: Its settings, defaults included.
        metrics: Columns round, metric, value, low, high, n: a row per round and metric.
        preferences: The pairs of the last round, in the columns of `prefopt export`.
        policy: Folder of the policy of round `kept`; None if nothing was trained.
        report: The report page.
        kept: The round whose policy that is; 0 is the start policy.
    """

    flow: str
    config: Experiment
    metrics: pl.DataFrame
    preferences: pl.DataFrame
    policy: Path | None
    report: Path | None
    kept: int

    def __repr__(self) -> str:
        """The table of rounds, and where policy and report lie."""
        rounds = _as_text(rounds_in_words(self.metrics, self.kept), str(self.config.name))
        return f"{rounds}\npolicy  {self.policy}\nreport  {self.report}"


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes:
        flow: Name of the flow.
        config: Its settings, defaults included.
        stages: Columns part (such as "round 2"), stage, state ("hit" or "miss"), reason, labels (to
            be bought, at most).
        doubts: What is doubtful about the settings, a sentence each.
        text: All of it as `prefopt plan` prints it.
    """

    flow: str
    config: Experiment
    stages: pl.DataFrame
    doubts: tuple[str, ...]
    text: str

    @property
    def labels(self) -> int:
        """How many labels the run would buy, at most."""
        return int(self.stages["labels"].sum())

    def __repr__(self) -> str:
        """What `prefopt plan` prints."""
        return self.text


def run(
    source: Source,
    changes: Mapping[str, Any] | None = None,
    *,
    store: Path | str | None = None,
    refresh: Iterable[str] = (),
    quiet: bool = False,
) -> Finished:
    """Run a flow here; what the store holds is not computed again.

    Args:
        source: See `Source`.
        changes: Dotted setting → value, on top of it: `{"selection.k": 4}`.
        store: Folder or URL of the results; None: `$PREFOPT_STORE`, else data/store.
        refresh: Names of stages to compute again.
        quiet: Whether to print nothing while it runs.

    Returns:
        Its figures, pairs and policy.

    Raises:
        ConfigError: Settings are wrong, or something that they name is not there.
        AwaitingLabelsError: People are to label first; call it again when they have.
        NothingNewError: It continues an earlier run, and there are too few new prompts.
        PrefoptError: See its subclasses.
    """
    flow, config = _loaded(source, changes)
    console = Terminal(quiet=quiet)
    with _in(store):
        config = numbered(config, current_store())
        doubts = tuple(check(config, LabelStore.of(current_store())))
        with ConsoleObserver(console) as observer:
            for doubt in certain(doubts):
                observer.noticed(doubt)
            how = Session(stages_named(refresh), observer, store=current_store(), doubts=doubts)
            with session(how):
                result = flow_of(flow).fn(config)
        kept = current_store()
        return Finished(
            flow,
            config,
            metrics=kept.read_all(result.metrics),
            preferences=as_exported(kept.read(result.preferences)).select(COLUMNS_OF_PAIRS),
            policy=kept.open_folder(result.policy) if result.policy else None,
            report=result.report,
            kept=result.kept,
        )


def plan(
    source: Source,
    changes: Mapping[str, Any] | None = None,
    *,
    store: Path | str | None = None,
    refresh: Iterable[str] = (),
) -> Plan:
    """Say what a run would do, without doing it; arguments and errors are those of `run`."""
    flow, config = _loaded(source, changes)
    told = StringIO()
    with _in(store):
        config = numbered(config, current_store())
        console = Terminal(file=told, width=_WIDTH)
        found, doubts = plan_run(flow, config, stages_named(refresh), console)
    rows = [(each.part, each.stage, each.state, each.reason, each.labels) for each in found]
    columns = {"part": pl.String, "stage": pl.String, "state": pl.String, "reason": pl.String}
    stages = pl.DataFrame(rows, schema=columns | {"labels": pl.Int64}, orient="row")
    return Plan(flow, config, stages, tuple(doubts), told.getvalue().rstrip())


def select(
    texts: Sequence[str],
    k: int = 2,
    *,
    strategy: str = "aepo",
    similarity: str = "cosine",
    embedder: str = "sentence-transformers",
    seed: int = 0,
    **params: Any,
) -> list[int]:
    """Choose the k of N responses to one prompt that are worth a label.

    Args:
        texts: The N responses.
        k: How many to choose.
        strategy: A name from `prefopt list strategies`; 'aepo' is that of arXiv:2405.13541.
        similarity: A name from `prefopt list similarities`.
        embedder: A name from `prefopt list embedders`; for the cosine.
        seed: Root of the randomness of strategies that draw.
        params: Settings of the strategy, such as `diversity_weight`.

    Returns:
        k indices into `texts`, the best pair first. Of equal texts the first counts; fewer indices
        if there are fewer distinct texts, none if all are equal: nothing can be compared then.

    Raises:
        ConfigError: A name or setting is unknown, or there are fewer than k texts.
    """
    with _told_plainly():
        compared = SimilarityConfig(measure=similarity)
        config = SelectionConfig(strategy=strategy, k=k, similarity=compared, params=params)
        embedding = EmbeddingConfig(embedder=embedder) if similarity == "cosine" else None
    prompt = digest_of("responses", *texts)  # nothing else is known of it
    rows = [(prompt, candidate_id_of(prompt, t), at, t, None) for at, t in enumerate(texts)]
    types = [pl.String(), pl.String(), pl.Int32(), pl.String(), pl.Float64()]
    schema = dict(zip(COLUMNS, types, strict=True))
    candidates = pl.DataFrame(rows, schema=schema, orient="row")
    vectors = embed_candidates(candidates, embedding) if embedding else None
    chosen = select_responses(candidates, vectors, config, seed=seed)
    first = candidates.unique("candidate_id", keep="first")
    return chosen.join(first, on="candidate_id", maintain_order="left")["sample"].to_list()


def _loaded(source: Source, changes: Mapping[str, Any] | None) -> tuple[str, Experiment]:
    with _told_plainly():
        return load_run(str(source) if isinstance(source, Path) else source, changes or {})


@contextmanager
def _told_plainly() -> Iterator[None]:
    """Settings that are not valid, as one kind of error with one line for each."""
    try:
        yield
    except ValidationError as error:
        raise ConfigError("\n".join(problems_of(error))) from error


@contextmanager
def _in(store: Path | str | None) -> Iterator[None]:
    with session(Session(store=Store.at(store) if store else None)):
        yield


def _as_text(parts: Sequence[Part], title: str) -> str:
    told = StringIO()
    print_parts(parts, Terminal(file=told, width=_WIDTH), title)
    return told.getvalue().rstrip()
