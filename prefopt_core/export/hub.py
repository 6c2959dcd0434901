"""Sending an exported folder to the Hugging Face hub, or to a server that speaks its API."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import httpx2

from prefopt_core.ground.errors import ConfigError, HubError

Kind = Literal["dataset", "model"]


def check_target(repo: str) -> None:
    """Refuse what cannot be sent, before anything is written.

    Raises:
        ConfigError: It is no name of a repository, or there is no token.
    """
    from huggingface_hub import get_token
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise ConfigError(f"--push-to-hub: {error} Write NAME or OWNER/NAME.") from error
    if get_token() is None:
        raise ConfigError(
            "--push-to-hub needs your token: `hf auth login`, or set HF_TOKEN. It needs the "
            "permission to write."
        )


def push(folder: Path, repo: str, kind: Kind, files: Sequence[str] | None, *, public: bool) -> str:
    """Make a repository unless it is there, and commit a folder to it; returns its address.

    Args:
        folder: An export.
        repo: NAME or OWNER/NAME.
        kind: Of the repository.
        files: Names of what is sent; None: all of it.
        public: Whether everybody may read it.

    Raises:
        HubError: The hub cannot be reached, refuses it, or shows the repository to everybody
            although `public` is not set.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    api = HfApi()
    try:
        made = api.create_repo(repo, private=not public, repo_type=kind, exist_ok=True)
        if not public and not api.repo_info(made.repo_id, repo_type=kind).private:
            raise HubError(
                f"{made.repo_id} is there already, and everybody can read it; nothing was sent. "
                "Add --public if that is meant, or name another repository."
            )
        api.upload_folder(
            repo_id=made.repo_id,
            folder_path=folder,
            repo_type=kind,
            allow_patterns=list(files) if files is not None else None,
            commit_message="Export by prefopt",
        )
    except (HfHubHTTPError, OfflineModeIsEnabled, httpx2.HTTPError, OSError, ValueError) as error:
        said = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        raise HubError(
            f"The hub at {api.endpoint} did not take {repo}: {said[0]} What was exported lies in "
            f"{folder}; `hf upload {repo} {folder} --repo-type {kind} --private` sends it."
        ) from error
    return str(made)
