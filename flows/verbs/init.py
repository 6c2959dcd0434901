"""The verb `init`: a folder to start from."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows.terminal import called, say
from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.files import write_whole
from prefopt_core.inputs import PROMPT_SOURCES

STARTER = Path(__file__).parents[1] / "starter"
_PROMPTS = 300  # 260 that run.yaml asks for, and some to spare


def init(folder: Annotated[Path, Parameter(help="where to write it; made if need be")], /) -> None:
    """Write a config, prompts and a judge, which run as they are.

    Raises:
        ConfigError: One of the files is there already.
        StoreError: The folder cannot be written.
    """
    config, judge, prompts = (folder / name for name in ("run.yaml", "judge.py", "prompts.jsonl"))
    there = [path.name for path in (config, judge, prompts) if path.exists()]
    if there:
        raise ConfigError(
            f"{folder} has {', '.join(there)} already, and nothing is overwritten. Name another "
            "folder."
        )
    for path in (config, judge):
        write_whole(path, partial(shutil.copyfile, STARTER / path.name))
    write_whole(prompts, lambda path: path.write_text(_prompts(), encoding="utf-8"))
    say(
        f"{config}  what to do, line by line\n{judge}  who labels\n"
        f"{prompts}  {_PROMPTS} prompts of a made-up help desk\n\n"
        f"{called()} plan {config}   # what it will do, and what it will cost\n"
        f"{called()} run {config}    # some minutes, without a GPU"
    )


def _prompts() -> str:
    rows = PROMPT_SOURCES["helpdesk"](0, count=_PROMPTS)["prompt"]
    texts = (messages[-1]["content"] for messages in rows)
    return "".join(json.dumps({"prompt": text}, ensure_ascii=False) + "\n" for text in texts)
