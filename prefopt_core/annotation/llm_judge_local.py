"""Ask a language model that judges in this process, from a folder."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import PositiveInt

from prefopt_core.annotation.judge import (
    Conversation,
    Judge,
    JudgeSettings,
    checked,
    fitting,
    text_in,
)
from prefopt_core.ground.registry import InputPath, SpeedOnly, Spread
from prefopt_core.ground.spending import Usage
from prefopt_core.labels.questions import Question, Verdict
from prefopt_core.models.folder import check_model
from prefopt_core.models.loading import load_model
from prefopt_core.models.positions import positions_in, refuse_longer
from prefopt_core.models.responses import decoded
from prefopt_core.models.server.kept import LikelyTokens, ServedResponse
from prefopt_core.models.templates import turn_of
from prefopt_core.models.threads import threads_for
from prefopt_core.models.tokens import load_tokenizer, prompt_token_ids

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

_LIKELY = 20
"""Tokens whose probabilities are read, as many as servers give at most."""


def annotate(
    questions: Sequence[Question],
    *,
    model: InputPath,
    judging: Spread[JudgeSettings],
    batch_size: SpeedOnly[PositiveInt] = 8,
    device: SpeedOnly[str] = "auto",
) -> Iterator[Verdict]:
    """Ask an LLM judge in this process: its likeliest answer, of a model's folder.

    Templates, their reading and what is invalid are those of `llm-judge`. Names of control tokens
    in what is judged stay text. A larger model belongs behind vLLM's server, see `llm-judge`.

    Args:
        questions: One response to score each, or two to compare.
        model: Folder of a causal language model with a chat template.
        judging: What the judge is asked, and how.
        batch_size: Questions at a time; more need more memory.
        device: "cpu", "cuda", …; "auto": spread over the GPUs there are, else the CPU.

    Yields:
        A verdict a question, in order, a batch at a time.

    Raises:
        ConfigError: The model cannot be loaded, or a setting or the template is unusable.
        DataError: A question is too long for the model, or its chat template does not take the
            template's roles.
    """
    judge = Judge.of(judging)
    writer = _Writer(model, device, judging.max_new_tokens, judge.template.header.read == "token")
    for start in range(0, len(questions), batch_size):
        asked = [judge.asked(question) for question in questions[start : start + batch_size]]
        sent = [each for each in asked if isinstance(each, Conversation)]
        verdicts = iter(_verdicts(judge, writer, sent))
        for each in asked:
            yield replace(
                each if isinstance(each, Verdict) else next(verdicts), by=Path(model).name
            )


def check_annotate(*, model: str, ask: str, template: str, guidelines: str | None) -> Iterator[str]:
    """See whether the model's folder is there, and what the template makes of a question.

    Raises:
        ConfigError: The folder, the template or the guidelines cannot be used.
    """
    checked(Judge(fitting(template, ask), text_in(guidelines), 1))
    yield from check_model(model, "params.model")


def _verdicts(judge: Judge, writer: "_Writer", sent: Sequence[Conversation]) -> list[Verdict]:
    """Have a batch judged; those without a verdict are asked again, together."""
    answers: dict[int, ServedResponse] = {}
    tokens = [(0, 0)] * len(sent)
    waiting: dict[int, Conversation] = dict(enumerate(sent))
    while waiting:
        written = zip(waiting.items(), writer.write(list(waiting.values())), strict=True)
        waiting = {}
        for (number, conversation), (answer, (read, wrote)) in written:
            answers[number] = answer
            tokens[number] = tokens[number][0] + read, tokens[number][1] + wrote
            further = judge.further(conversation, answer)
            if further and writer.fits(further):
                waiting[number] = further
    return [judge.verdict(answers[n], Usage(*tokens[n], 0.0)) for n in range(len(sent))]


class _Writer:
    """A model that writes its likeliest answers."""

    def __init__(self, model: str, device: str, most: int, probable: bool) -> None:
        self._folder, self._most, self._probable = Path(model), most, probable
        self._tokenizer = load_tokenizer(self._folder)
        self._network = load_model(self._folder, device)
        listed: Any = self._network.generation_config.eos_token_id
        named: Any = self._tokenizer.convert_tokens_to_ids(list(turn_of(self._tokenizer).ends))
        ends = {self._tokenizer.eos_token_id, *named}
        self._ends = (ends | {*(listed if isinstance(listed, list) else [listed])}) - {None}

    def fits(self, sent: Conversation) -> bool:
        """Whether the model has positions for a conversation and its answer."""
        limit = positions_in(self._folder)
        return limit is None or len(self._ids(sent)) + self._most <= limit

    def _ids(self, sent: Conversation) -> list[int]:
        return prompt_token_ids(self._tokenizer, sent.content["messages"])

    def write(
        self, sent: Sequence[Conversation]
    ) -> Iterator[tuple[ServedResponse, tuple[int, int]]]:
        """Answers, each with how many tokens were read and written."""
        import torch

        prompts = [self._ids(each) for each in sent]
        refuse_longer(
            [len(ids) + self._most for ids in prompts],
            self._folder,
            "questions with their answers",
            "Lower `max_new_tokens` of the annotator, or let a shorter template ask.",
        )
        inputs = self._tokenizer.pad(
            {"input_ids": prompts}, padding_side="left", return_tensors="pt"
        ).to(self._network.device)
        with torch.inference_mode(), threads_for(self._network):
            done: Any = self._network.generate(  # type: ignore[operator]
                **inputs,
                do_sample=False,
                max_new_tokens=self._most,
                eos_token_id=sorted(self._ends),
                pad_token_id=self._tokenizer.pad_token_id,
                return_dict_in_generate=True,
                output_logits=self._probable,
            )
        width = inputs["input_ids"].shape[1]
        for row, ids in enumerate(done.sequences[:, width:].tolist()):
            length = next((n for n, i in enumerate(ids) if i in self._ends), None)
            own = ids[:length]
            text = decoded(self._tokenizer, own)
            likely = None
            if self._probable:
                logits = torch.stack([step[row] for step in done.logits[: len(own)]])
                likely = _likely(self._tokenizer, own, logits)
            reason = "length" if length is None else "stop"
            yield ServedResponse(text, reason, likely), (len(prompts[row]), len(own))


def _likely(
    tokenizer: "PreTrainedTokenizerBase", ids: Sequence[int], logits: "torch.Tensor"
) -> list[LikelyTokens]:
    """Each token of an answer with the likeliest in its place; (length, vocabulary) logits."""
    import torch

    top = torch.log_softmax(logits.float(), dim=-1).topk(min(_LIKELY, logits.shape[-1]))
    found: list[LikelyTokens] = []
    for own, tokens, logps in zip(ids, top.indices.tolist(), top.values.tolist(), strict=True):
        shares: dict[str, float] = {}
        for token, logp in zip(tokens, logps, strict=True):
            text = decoded(tokenizer, [token])  # two may be alike: some lose their space here
            shares[text] = float(torch.logaddexp(*torch.tensor([shares.get(text, -1e9), logp])))
        found.append((decoded(tokenizer, [own]), shares))
    return found
