"""An LLM judge, wherever it runs: what it is told, and how it is understood."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import PositiveInt

from prefopt_core.annotation.judge_reading import verdict_in
from prefopt_core.annotation.judge_template import JudgeTemplate, TemplateName, load_template
from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.ids import Prompt
from prefopt_core.ground.registry import InputPath
from prefopt_core.ground.spending import Usage
from prefopt_core.labels.questions import Question, Shown, Verdict
from prefopt_core.models.server.answers import text_of
from prefopt_core.models.server.kept import ServedResponse
from prefopt_core.models.server.till import SentPrompt


@dataclass(frozen=True)
class JudgeSettings:
    """Settings of every annotator that is an LLM judge.

    Attributes:
        ask: "compare" two responses, or "score" one.
        orders: How often a pair is asked about: in "one" order, or in "both", which shows and
            evens out a judge's liking for the first or the second place.
        template: What the judge is shown and how its verdict is read: the path of a file, or one of
            "pairwise", "statement" and "one-token", which compare, and "rubric", which scores.
        guidelines: A text file that the template shows to the judge; null: none.
        max_new_tokens: The most tokens of an answer, thinking included where a server counts it; an
            answer that is cut off is no verdict.
        attempts: The most times the judge is asked for a verdict, each time with its answers so
            far and the template's block `again`.
    """

    ask: Literal["score", "compare"] = "compare"
    orders: Literal["one", "both"] = "both"
    template: TemplateName = "pairwise"
    guidelines: InputPath | None = None
    max_new_tokens: PositiveInt = 512
    attempts: PositiveInt = 2


@dataclass(frozen=True)
class Conversation(SentPrompt):
    """What is said to the judge so far, the `attempt`th time counted from 1."""

    attempt: int = 1


@dataclass(frozen=True)
class Judge:
    """What a judge is told and how it is understood, wherever it runs.

    Attributes:
        template: What it is shown.
        guidelines: The text of the guidelines, or "".
        attempts: The most times it is asked for a verdict.
    """

    template: JudgeTemplate
    guidelines: str
    attempts: int

    @classmethod
    def of(cls, settings: JudgeSettings) -> "Judge":
        """The judge of these settings.

        Raises:
            ConfigError: The template or the guidelines cannot be used.
        """
        template = fitting(settings.template, settings.ask)
        return cls(template, text_in(settings.guidelines), settings.attempts)

    @property
    def wanted(self) -> int:
        """How many responses the judge is shown."""
        return 2 if self.template.header.ask == "compare" else 1

    def asked(self, question: Question) -> "Conversation | Verdict":
        """What is said to the judge; or an invalid verdict, if its prompt could be misread.

        Raises:
            ConfigError: The template asks for another number of responses, or cannot be filled in.
        """
        if len(question.responses) != self.wanted:
            raise ConfigError(
                f"The template {self.template.name!r} shows {self.wanted} responses, and the "
                f"question has {len(question.responses)}. Set `params.ask` and `params.template`."
            )
        if line := self.template.broken_by(question, self.guidelines):
            return Verdict(
                "invalid",
                why=f"Not asked: one of the texts has a line that begins with {line!r}, as one "
                f"of the template {self.template.name!r} does. Let the template set texts "
                "between lines that begin with `fence`.",
                usage=Usage(0, 0, 0.0),
            )
        messages = self.template.conversation(question, self.guidelines)
        return Conversation(Prompt(question.question_id, question.prompt), {"messages": messages})

    def further(self, sent: SentPrompt, answer: ServedResponse) -> Conversation | None:
        """What is said to the judge after an answer without a verdict, if it is asked again."""
        attempt = getattr(sent, "attempt", 1)
        if attempt == self.attempts or verdict_in(answer, self.template.header) is not None:
            return None
        messages, again = list(sent.content["messages"]), self.template.again()
        said = answer.text and answer.text.strip()
        if said:
            messages += [
                {"role": "assistant", "content": said},
                {"role": "user", "content": again},
            ]
        else:  # some servers refuse two messages of a user in a row
            last = messages.pop()
            messages.append(last | {"content": f"{last['content']}\n\n{again}"})
        return Conversation(sent.prompt, {"messages": messages}, attempt + 1)

    def verdict(self, answer: ServedResponse, usage: Usage) -> Verdict:
        """The verdict of the last answer, and what all took."""
        verdict = verdict_in(answer, self.template.header)
        if verdict is None:
            reason = "" if answer.finish_reason == "stop" else f"({answer.finish_reason}) "
            return Verdict("invalid", why=f"{reason}{answer.text or ''}".strip(), usage=usage)
        why = "" if self.template.header.read == "token" else text_of(answer) or ""
        return replace(verdict, why=why.strip(), usage=usage)


def checked(judge: Judge) -> None:
    """See whether the template can be filled in.

    Raises:
        ConfigError: It cannot.
    """
    shown = [Shown(text, text) for text in ("Yes.", "No.")][: judge.wanted]
    judge.asked(Question("", [{"role": "user", "content": "Is it?"}], tuple(shown)))


def fitting(name: str, ask: str) -> JudgeTemplate:
    """The template of that name or path, which must be one for what is asked.

    Raises:
        ConfigError: It is not, or there is none.
    """
    template = load_template(name)
    if template.header.ask != ask:
        raise ConfigError(
            f"The template {name!r} is to {template.header.ask}, and `params.ask` is {ask!r}. Set "
            f"`params.ask` to {template.header.ask!r}, or another `params.template`."
        )
    return template


def text_in(guidelines: str | None) -> str:
    """The text of a file of guidelines; "" if there is none.

    Raises:
        ConfigError: The file cannot be read.
    """
    if guidelines is None:
        return ""
    try:
        return Path(guidelines).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"`params.guidelines` names {guidelines}, which is no text file: {error}."
        ) from None
