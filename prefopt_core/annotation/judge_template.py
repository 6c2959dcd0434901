"""Templates of LLM judges: what a judge is shown, and how its verdict is read from its answer.

A template is a file: a header in YAML between two lines `---`, then Jinja blocks `system` (may be
left out), `user`, and `again` (what is said after an answer without a verdict). It sees

    messages    the prompt: {role, content} each
    prompt      the same as one text
    responses   {letter, text} each, in the order shown: letters A, B
    guidelines  the text of `params.guidelines`, or ""
    fence       a run of "=" that is in none of these texts

Texts to judge are not to be trusted. What they say never reaches the reading of the verdict, which
sees the judge's answer alone. That they do not pass for parts of the template is the template's
care: it sets them between lines that begin with `fence`, or as JSON (`tojson`). Where it does
neither, a text with a line that begins like one of the template's own is not shown to the judge.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from jinja2 import StrictUndefined, Template, TemplateError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.ids import Message, last_text
from prefopt_core.ground.marks import Shipped
from prefopt_core.ground.registry import InputPath, did_you_mean
from prefopt_core.ground.settings import problems_of
from prefopt_core.labels.questions import Question

BUILT_IN = Shipped(Path(__file__).parent / "templates", ".jinja")
TemplateName = Annotated[InputPath, BUILT_IN]
"""Setting: the path of a user's template, or the name of one of ours."""

LETTERS = "AB"
Mark = Literal["first", "second", "tie", "both_bad"]

_NAMES = {"messages", "prompt", "responses", "guidelines", "fence"}
_BLOCKS = {"system", "user", "again"}
_FENCE = "=" * 5
_AGAIN = "That is no verdict. Answer again, in exactly the form that was asked for."
_PROBE = "\ue000"
_FRAME = 3
"""Letters of a line from which on it counts as part of the template's frame."""


class Header(BaseModel):
    r"""What a template says about itself.

    Attributes:
        ask: "compare" two responses or "score" one.
        read: What the verdict is in the answer: its one "token", with the log-probabilities of the
            others where the server gives them; the group of a "pattern" where it matches; a "field"
            of a JSON object. Several that differ are no verdict.
        pattern: A regular expression with one group. Where a judge names both responses before it
            decides, one that ends in `\W*\Z` finds its last word alone.
        field: Name of the field.
        marks: What stands for each verdict, of comparisons.
        scale: The least and the highest score.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ask: Literal["compare", "score"]
    read: Literal["token", "pattern", "field"]
    pattern: str | None = None
    field: str | None = None
    marks: dict[Mark, str] = {}
    scale: tuple[float, float] | None = None

    @field_validator("marks", mode="before")
    @classmethod
    def _numbers_are_marks(cls, marks: Any) -> Any:
        if not isinstance(marks, dict):
            return marks
        return {name: str(mark) if type(mark) is int else mark for name, mark in marks.items()}

    @model_validator(mode="after")
    def _fits_together(self) -> "Header":
        if problem := next(self._problems(), None):
            raise ValueError(problem)
        return self

    def _problems(self) -> Iterator[str]:
        for kind in ("pattern", "field"):
            if (self.read == kind) != (getattr(self, kind) is not None):
                yield f"`{kind}` belongs to `read: {kind}` and to no other"
        if self.pattern is not None:
            yield from _problems_of_pattern(self.pattern)
        if self.ask == "score":
            yield from self._problems_of_scores()
        elif self.scale or not {"first", "second"} <= self.marks.keys():
            yield "`ask: compare` needs `marks`: {first: A, second: B}, and no `scale`"
        elif len(set(self.marks.values())) < len(self.marks):
            yield "two of `marks` are the same"

    def _problems_of_scores(self) -> Iterator[str]:
        if self.marks or self.scale is None or self.scale[0] >= self.scale[1]:
            yield "`ask: score` needs `scale`: [least, highest], and no `marks`"


def _problems_of_pattern(pattern: str) -> Iterator[str]:
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        yield f"`pattern` is no regular expression: {error}"
    else:
        if groups != 1:
            yield f"`pattern` has {groups} groups (…) and needs one: what it finds is the verdict"


@dataclass(frozen=True)
class JudgeTemplate:
    """A template that was read; see the module.

    Attributes:
        name: The name or path by which it was asked for.
        header: How its verdicts are read.
        blocks: The parts that it has.
        fenced: Whether it sets texts between lines that begin with `fence`.
    """

    name: str
    header: Header
    blocks: Template
    fenced: bool

    def conversation(self, question: Question, guidelines: str) -> list[Message]:
        """The messages that ask a judge a question.

        Raises:
            ConfigError: The template cannot be filled in.
        """
        texts = [shown.text for shown in question.responses]
        return self._filled(question.prompt, texts, guidelines)

    def again(self) -> str:
        """What is said after an answer without a verdict."""
        return self._block("again", {}) or _AGAIN

    def broken_by(self, question: Question, guidelines: str) -> str | None:
        """The line of the template that a text of the question has, too; None if it has none."""
        if self.fenced:
            return None
        blanks = [message | {"content": _PROBE} for message in question.prompt]
        shape = self._filled(blanks, [_PROBE for _ in question.responses], guidelines)
        frame = _lines(shape)
        lines = _lines(self.conversation(question, guidelines))
        for start in dict.fromkeys(line.partition(_PROBE)[0].strip() for line in frame):
            if len(start) >= _FRAME and _begin(lines, start) > _begin(frame, start):
                return start
        return None

    def _filled(
        self, messages: Sequence[Message], texts: Sequence[str], guidelines: str
    ) -> list[Message]:
        everything = [guidelines, *texts, *(message["content"] for message in messages)]
        seen = {
            "messages": [dict(message) for message in messages],
            "prompt": _as_text(messages),
            "responses": [
                {"letter": letter, "text": text}
                for letter, text in zip(LETTERS, texts, strict=False)
            ],
            "guidelines": guidelines,
            "fence": _not_in(everything),
        }
        parts = [("system", self._block("system", seen)), ("user", self._block("user", seen))]
        return [{"role": role, "content": text} for role, text in parts if text]

    def _block(self, name: str, seen: dict[str, Any]) -> str:
        if name not in self.blocks.blocks:
            return ""
        try:
            return "".join(self.blocks.blocks[name](self.blocks.new_context(seen))).strip()
        except Exception as error:  # of any kind: it runs what its author wrote
            raise ConfigError(
                f"The template {self.name!r} cannot be filled in: {error}. It sees "
                f"{', '.join(sorted(_NAMES))}; `again` sees none of them."
            ) from error


def load_template(name: str) -> JudgeTemplate:
    """Read a template: the user's file of that path, or ours of that name.

    Raises:
        ConfigError: There is none, or it is not one; the message says what is wrong.
    """
    path = BUILT_IN.path(name)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"There is no template {name!r} ({error}). Give the path of a file, or one of ours."
            f"{did_you_mean(name, BUILT_IN.names())}"
        ) from None
    return _parsed(name, text)


@lru_cache
def _parsed(name: str, text: str) -> JudgeTemplate:
    try:
        _, header, body = re.split(r"^---[ \t]*\n", text, maxsplit=2, flags=re.MULTILINE)
        about = Header.model_validate(yaml.safe_load(header))
    except ValidationError as error:
        problems = "; ".join(problems_of(error))
        raise ConfigError(f"Header of template {name!r}: {problems}.") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"Header of template {name!r}: {error}") from None
    except ValueError:
        raise ConfigError(
            f"Template {name!r} has no header: it begins with a line ---, settings such as "
            "`ask: compare`, and another line ---."
        ) from None
    used, blocks = _compiled(name, body)
    for kind, said, known in (("name", used, _NAMES), ("block", blocks.blocks, _BLOCKS)):
        if unknown := sorted(set(said) - known):
            raise ConfigError(
                f"Template {name!r} uses the {kind} {unknown[0]!r}, which there is not."
                f"{did_you_mean(unknown[0], known)}"
            )
    if "user" not in blocks.blocks:
        raise ConfigError(f"Template {name!r} has no {{% block user %}}, which asks the judge.")
    return JudgeTemplate(name, about, blocks, "fence" in used)


def _compiled(name: str, body: str) -> tuple[set[str], Template]:
    """The names that a body uses, and the body."""
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined)
    environment.filters["tojson"] = _as_json
    try:
        used = meta.find_undeclared_variables(environment.parse(body))
        return used, environment.from_string(body)
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        where = f", line {line} below the header" if line else ""
        raise ConfigError(f"Template {name!r}{where}: {error}") from None
    except (RecursionError, SyntaxError, MemoryError) as error:  # of what Jinja makes of it
        said = getattr(error, "msg", error)
        raise ConfigError(f"Template {name!r} is nested too deeply: {said}.") from None


def _as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _as_text(messages: Sequence[Message]) -> str:
    """A conversation as one text; of one message, that."""
    if len(messages) == 1:
        return last_text(messages)
    return "\n\n".join(f"{message['role']}: {message['content']}" for message in messages)


def _not_in(texts: Sequence[str]) -> str:
    """A run of "=" longer than any in the texts."""
    runs = (len(run) for text in texts for run in re.findall("=+", text))
    return "=" * max(len(_FENCE), max(runs, default=0) + 1)


def _lines(conversation: Sequence[Message]) -> Counter[str]:
    lines = (line for message in conversation for line in message["content"].splitlines())
    return Counter(line.strip().casefold() for line in lines)


def _begin(lines: Counter[str], start: str) -> int:
    """How many lines begin like that."""
    return sum(count for line, count in lines.items() if line.startswith(start))
