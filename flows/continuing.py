"""Runs that continue an earlier one: what they take from it, and what they leave to the next."""

from collections.abc import Sequence

from flows.prompts import Prompts
from prefopt_core.experiments.continuing import continued, unused
from prefopt_core.experiments.flows import AlignConfig
from prefopt_core.ground.errors import NothingNewError
from prefopt_core.reports.labels import counted
from prefopt_core.store.artifacts import Artifact, Folder
from prefopt_core.store.runs import Left, note
from tasks.session import current_store, leaves_pages


def inherited(config: AlignConfig) -> tuple[Folder | None, Left]:
    """The policy that the run before has kept, and what it left; None and nothing without one."""
    run = continued(config, current_store())
    return (run.policy, run.left) if run and run.left else (None, Left())


def require_new(prompts: Artifact, config: AlignConfig, left: Left) -> None:
    """See whether there are enough prompts that no earlier run has used.

    Raises:
        NothingNewError: There are fewer than the run takes.
    """
    run, store = continued(config, current_store()), current_store()
    if run is None or not isinstance(prompts, Artifact):  # while planning it may be a `Planned`
        return
    new = unused(prompts, [*left.prompts, *([left.held_out] if left.held_out else [])], store)
    wanted = config.pool.count if config.pool else config.first_prompt(len(config.rounds) + 1)
    if new < wanted:
        raise NothingNewError(
            f"Nothing to do since {run.name}: {counted(new, 'prompt')} of {prompts.rows} "
            f"{'is' if new == 1 else 'are'} new, and {config.name} takes {wanted}. Nothing was "
            "bought or trained; the same command goes on when there are more."
        )


def leave(
    config: AlignConfig,
    left: Left,
    prompts: Prompts,
    labelled: Sequence[Artifact],
    embeddings: Sequence[Artifact],
) -> None:
    """Keep in the run's record what the next one takes; not while planning.

    Args:
        config: With the run's name.
        left: What the run before left.
        prompts: Of this run.
        labelled: As in `Left`, those of runs before included.
        embeddings: The same.
    """
    if not leaves_pages():
        return
    assert config.name is not None
    own = Left(
        held_out=prompts.held_out or left.held_out,
        prompts=(*left.prompts, *prompts.drawn),
        labelled=tuple(labelled),
        embeddings=tuple(embeddings),
    )
    note(current_store(), config.name, left=own)
