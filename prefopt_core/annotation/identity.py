"""Who an annotator is: by what its labels are found again, also those of earlier versions."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from prefopt_core.annotation import FORMER_NAMES
from prefopt_core.annotation.asking import ASKING
from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.labels.holdings import holdings
from prefopt_core.labels.store import AnnotatorIdentity, LabelStore, unnamed
from prefopt_core.store.artifacts import canonical_json

_EDITED = ("function_file", "template", "guidelines")
"""Settings, by their content, of which there are versions; another model is another annotator."""


def identity(config: AnnotationConfig) -> AnnotatorIdentity:
    """The annotator as the label store knows it: by its name, or its settings and their content."""
    part = config.content()
    kind, params = _kind(part), _settings(part)
    who, unnamed_one = identity_of(part), identity_of(part | {"name": None})
    earlier = [canonical_json({kind: former}) for former in _formerly(config, params)]
    earlier.append(unnamed_one.name)
    others = tuple(former for former in earlier if former != who.name)
    return replace(who, earlier=others)


def identity_of(part: Mapping[str, Any]) -> AnnotatorIdentity:
    """The annotator of a section `annotation` by its content, as cache keys and manifests have it.

    Of one with a name these have the name alone; it is enough to find its labels.
    """
    params = _settings(part)
    if "function_file" in part:
        params = params | {"function_file": part["function_file"]}
    name = part.get("name")
    text = canonical_json({_kind(part): params} | ({} if name is None else {"name": name}))
    return AnnotatorIdentity(text, part["guidelines"], name)


def _settings(part: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that say who it is, not what it is asked."""
    return {name: v for name, v in part.get("params", {}).items() if name not in ASKING}


def _kind(part: Mapping[str, Any]) -> str:
    # Another package may have an annotator of the same name; a new version is the same annotator.
    package, _, _ = part.get("package", "").partition(" ")
    return f"{package}:{part['annotator']}" if package else str(part["annotator"])


def _formerly(config: AnnotationConfig, params: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The settings by which earlier versions kept the labels of the same annotator."""
    function = config.params.get("function")
    if not isinstance(function, str):
        return
    for former in FORMER_NAMES.get(function, ()):
        yield params | {"function": f"prefopt_core.{former}"}
    source, colon, name = function.rpartition(":")
    if source.endswith(".py"):
        yield params | {"function": f"{Path(source).resolve()}{colon}{name}"}
    elif colon:
        yield params | {"function": function}


def doubts_of_labels(config: AnnotationConfig, kept: LabelStore) -> Iterator[str]:
    """What makes it doubtful that kept labels are this annotator's, a sentence each, with counts.

    Args:
        config: The annotator.
        kept: The label store.
    """
    who = identity(config)
    content = unnamed(who.name)[1]
    for text, count, newest in kept.sources(who):
        if unnamed(text)[1] == content:
            continue
        if text not in who.earlier:
            yield (
                f"{count} labels of {config.name!r} were given before its settings or its function "
                "were edited, and count all the same. Change `annotation.guidelines` to buy them "
                "anew."
            )
        elif (edited := _edited(config)) and edited > newest:
            day = time.strftime("%Y-%m-%d", time.gmtime(newest))
            yield (
                f"{count} labels were bought until {day} from {config.params['function']}, which "
                "was edited since. They are from before prefopt kept the content of functions, and "
                "are taken for those of today's. Change `annotation.guidelines` to buy them anew."
            )
    yield from _elsewhere(who, config.params.get("base_url"), kept)
    yield from _superseded(who, kept)
    yield from _lost(config, kept)


def _elsewhere(who: AnnotatorIdentity, address: Any, kept: LabelStore) -> Iterator[str]:
    """Labels of a model of that name on another server, which may be another model."""
    others = [server for server in kept.servers(who) if server != address]
    if address and others:
        count = sum(count for _, count, _ in kept.sources(who))
        yield (
            f"{count} labels of this model's name were bought from {', '.join(others)}, and count "
            f"as those of the model at {address}: by its name, not its address, a model is known. "
            "If these are two models, let this one's server give it a name of its own (vLLM: "
            "`--served-model-name`), and set that as `annotation.params.model_name`."
        )


def _superseded(who: AnnotatorIdentity, kept: LabelStore) -> Iterator[str]:
    """Labels of another version of an annotator without a name, while today's has none."""
    found = [holding for holding in holdings(kept) if holding.guidelines == who.guidelines]
    version = _any_version(who.name)
    if version is None or who.called is not None or kept.sources(who):
        return
    others = [holding for holding in found if _any_version(holding.annotator) == version]
    if others:
        newest = max(others, key=lambda holding: holding.people[-1].last)
        day = time.strftime("%Y-%m-%d", time.gmtime(newest.people[-1].last))
        more = f", and {len(others) - 1} more" if len(others) > 1 else ""
        yield (
            f"{newest.labels} labels were bought until {day} from an annotator of this name with "
            f"another function, template or guidelines{more} (`prefopt labels ls`), and do not "
            "count: they would be bought again. If it was an earlier version of this one, and its "
            f"labels shall count, type `prefopt labels name {newest.id} NAME --yes`, with a name "
            "of your choice, and set `annotation.name=NAME` from now on."
        )


def _any_version(annotator: str) -> str | None:
    """An annotator's text without what people edit of it; None if it has nothing of the kind."""
    try:
        ((kind, params),) = json.loads(annotator).items()
        rest = {name: value for name, value in params.items() if name not in _EDITED}
    except (ValueError, TypeError, AttributeError):
        return None
    return canonical_json({kind: rest}) if len(rest) < len(params) else None


def _edited(config: AnnotationConfig) -> float | None:
    """When the file of its function was last written; None if it is none."""
    file = Path(str(config.params["function"]).rpartition(":")[0])
    return file.stat().st_mtime if file.suffix == ".py" and file.is_file() else None


def _lost(config: AnnotationConfig, kept: LabelStore) -> Iterator[str]:
    """Labels of an earlier version, kept under the path of a function that now lies elsewhere."""
    source, _, name = str(config.params.get("function", "")).rpartition(":")
    if not source.endswith(".py"):
        return
    wanted, here = f"{Path(source).name}:{name}", f"{Path(source).resolve()}:{name}"
    for annotator, _, count in kept.counts():
        path = _path_in(annotator)
        if path.startswith("/") and path != here and path.rpartition("/")[2] == wanted:
            yield (
                f"{count} labels are kept of {path}, by its path, as an earlier version of prefopt "
                f"did. If {source} is that function, put it there once more and run with "
                f"`annotation.params.function={path}`: from then on its content counts."
            )


def _path_in(annotator: str) -> str:
    """The function that the text of an annotator names; "" if there is none."""
    try:
        (params,) = json.loads(annotator).values()
        return str(params["function"])
    except (ValueError, AttributeError, LookupError, TypeError):
        return ""
