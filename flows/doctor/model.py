"""Checks of a model for `prefopt doctor --model`: what a run does with it, in miniature."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from math import prod, sqrt
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from flows.doctor import Check
from prefopt_core.generation import Response
from prefopt_core.generation.encoding import end_tokens, generation_config_of
from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.ground.errors import DataError, PrefoptError, in_words_of
from prefopt_core.ground.files import TEMPORARY
from prefopt_core.ground.ids import Message, Prompt, prompt_id_of, quoted
from prefopt_core.models.fitness import config_in, doubts_about, shapes_in
from prefopt_core.models.loading import own_dtype, release_models
from prefopt_core.models.positions import positions_in
from prefopt_core.models.responses import decoded, turn_token_ids
from prefopt_core.models.start import import_model
from prefopt_core.models.templates import reasoning_of, rendered, turn_of
from prefopt_core.models.tokens import Tokens, load_tokenizer, prompt_token_ids
from prefopt_core.scoring.settings import ScoringConfig
from prefopt_core.scoring.table import sequence_logps
from prefopt_core.training.trial import RANK, try_a_step

ASK: Message = {"role": "user", "content": "Name a colour."}
LONGER: Message = {"role": "user", "content": "What is the capital of France? Say it in one word."}
SYSTEM: Message = {"role": "system", "content": "Answer briefly."}
TEXTS = ("Hello, world! 12345 ab", "Grüße, 世界 🙂", "def f(x):\n    return x\t# two  spaces")
TYPED = {"policy.params.path": "--model", "policy.params.chat_template": "--chat-template"}
NEW_TOKENS = 16
ROUNDING = {"torch.float32": 0.01}
"""By dtype: nats per square root of a token between two forward passes of different shapes."""
COARSE = 0.2
"""The same for dtypes of 16 bits."""


@dataclass
class Patient:
    """A model while it is looked at.

    Attributes:
        path: As it was given.
        chat_template: As for `import_model`.
        work: A folder of ours.
        responses: What it has written, when it has.
    """

    path: str
    chat_template: str | None
    work: Path
    responses: list[Response] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """The policy that a run would make of it."""
        return self.work / "model"

    @property
    def tokenizer(self) -> Any:
        """Its tokenizer."""
        return load_tokenizer(self.folder)

    def named(self, text: str) -> str:
        """A message with the user's path in place of ours."""
        return text.replace(str(self.folder), self.path)


def examine_model(path: str, chat_template: str | None = None) -> Iterator[Check]:
    """Try what a run does with a model; without its files nothing else is tried.

    Args:
        path: Folder, GGUF file or hub id.
        chat_template: 'plain' or a Jinja file; None: the model's own.
    """
    with TemporaryDirectory(prefix=TEMPORARY) as work:
        patient = Patient(path, chat_template, Path(work))
        try:
            for what, look in CHECKS.items():
                checks = list(_looked(patient, what, look))
                yield from checks
                if what == "files" and any(check.state == "problem" for check in checks):
                    return
        finally:
            release_models()
            load_tokenizer.cache_clear()


def _looked(
    patient: Patient, what: str, look: Callable[[Patient], Iterator[Check]]
) -> Iterator[Check]:
    """The checks of one function, its errors and the warnings that a run would log."""
    with _warnings() as heard:
        try:
            with in_words_of(TYPED):
                yield from look(patient)
        except PrefoptError as error:
            yield Check(what, "problem", patient.named(str(error)))
        except Exception as error:  # of any kind: libraries are given a model they may not know
            yield Check(what, "problem", patient.named(f"{type(error).__name__}: {error}"))
    yield from (Check(what, "warning", patient.named(text)) for text in heard)


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """What prefopt warns of within the block, in place of showing it."""
    heard: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("prefopt_core")
    before = log.propagate
    log.addHandler(handler)
    log.propagate = False
    try:
        yield heard
    finally:
        log.removeHandler(handler)
        log.propagate = before


def files(patient: Patient) -> Iterator[Check]:
    """Whether config, weights and tokenizer are there and fit each other."""
    patient.folder.mkdir()
    import_model(
        patient.folder, patient.work, 0, path=patient.path, chat_template=patient.chat_template
    )
    if Path(patient.path).is_dir():  # of others it has told the doubts
        for doubt in doubts_about(patient.folder):
            yield Check("files", "warning", doubt)
    config, shapes = config_in(patient.folder), shapes_in(patient.folder)
    count = sum(prod(shape) for _, shape in shapes.values())
    dtype = str(own_dtype(patient.folder)).removeprefix("torch.")
    tied = ", input and output share their embeddings" * bool(config.tie_word_embeddings)
    yield Check("files", "ok", f"{config.model_type}, {count / 1e6:,.1f} M weights, {dtype}{tied}")


def tokens(patient: Patient) -> Iterator[Check]:
    """Whether texts come back from their token ids."""
    tokenizer = patient.tokenizer
    for text in TEXTS:
        again = decoded(tokenizer, tokenizer(text, add_special_tokens=False)["input_ids"])
        if again.removeprefix(" ") != text:
            found = f"{text!r} comes back as {again!r}: annotators see other texts than it wrote"
            yield Check("tokenizer", "warning", found, "Is it the model's own tokenizer?")
    yield Check("tokenizer", "ok", f"{len(tokenizer):,} tokens")


def template(patient: Patient) -> Iterator[Check]:
    """Whether the chat template takes roles, and writes a response behind its prompt."""
    tokenizer = patient.tokenizer
    turn = turn_of(tokenizer)
    prompt = rendered(tokenizer, [ASK], add_generation_prompt=True)
    start = prompt.rpartition(ASK["content"])[2]
    yield Check("template", "ok", f"a response begins behind {start!r}")
    known = [p for p in reasoning_of(tokenizer) if p[1] in str(tokenizer.chat_template)]
    if pair := turn.reasoning or next(iter(known), None):
        found = f"reasoning in {pair[0]} … {pair[1]} is trained, and not shown to annotators"
        yield Check("reasoning", "ok", found, "Leave room: generation.params.max_new_tokens")
    try:
        prompt_token_ids(tokenizer, [SYSTEM, ASK])
        yield Check("system role", "ok", "taken")
    except DataError as error:
        yield Check("system role", "warning", patient.named(str(error)))
    try:
        turn_token_ids(tokenizer, [ASK], "Blue.")
    except DataError as error:
        yield Check("given responses", "warning", patient.named(str(error)))


def bos(patient: Patient) -> Iterator[Check]:
    """Whether a prompt begins with the model's BOS once."""
    tokenizer = patient.tokenizer
    ids, token = prompt_token_ids(tokenizer, [ASK]), tokenizer.bos_token_id
    if token is None or ids[0] != token:
        yield Check("BOS", "ok", f"none: a prompt begins with {decoded(tokenizer, ids[:1])!r}")
    elif ids[1:2] == [token]:
        mend = "Take it out of the chat template, or set `add_bos_token: false` in the tokenizer."
        yield Check("BOS", "problem", f"a prompt begins with {tokenizer.bos_token!r} twice", mend)
    else:
        yield Check("BOS", "ok", f"one, {tokenizer.bos_token!r}")


def ends(patient: Patient) -> Iterator[Check]:
    """Which tokens end a response, and what pads a batch."""
    tokenizer = patient.tokenizer
    found = end_tokens(tokenizer, generation_config_of(patient.folder))
    names = ", ".join(repr(decoded(tokenizer, [token])) for token in sorted(found))
    yield Check("end tokens", "ok", f"responses end at {names}")
    shared = tokenizer.pad_token_id == tokenizer.eos_token_id
    masked = ", which ends responses too: batches mask it" * shared
    yield Check("padding", "ok", f"{tokenizer.pad_token!r}{masked}")


def positions(patient: Patient) -> Iterator[Check]:
    """How long prompt and response may be together."""
    text = config_in(patient.folder).get_text_config()
    limit, window = positions_in(patient.folder), getattr(text, "sliding_window", None)
    found = f"{limit:,} tokens of prompt and response" if limit else "of any length"
    if window and getattr(text, "use_sliding_window", True):
        found += f"; layers with a window see the last {window:,}"
    yield Check("length", "ok", found)


def generation(patient: Patient) -> Iterator[Check]:
    """Whether it answers prompts of two lengths in one batch."""
    try:
        patient.responses = _sampled(patient.folder)
    except DataError as error:
        yield Check("generation", "warning", patient.named(str(error)))
        # Reasoning needs more tokens than there is time for; without roles there is none.
        plain = patient.work / "plain"
        plain.mkdir()
        import_model(plain, patient.work, 0, path=str(patient.folder), chat_template="plain")
        patient.responses = _sampled(plain)
        return
    ended = sum(response.finish_reason == "stop" for response in patient.responses)
    first = quoted(patient.responses[0].text)
    found = f"{ended} of {len(patient.responses)} end within {NEW_TOKENS} tokens; one is {first}"
    yield Check("generation", "ok", found)


def _sampled(folder: Path) -> list[Response]:
    config = GenerationConfig(
        n=2, generator="transformers", params={"max_new_tokens": NEW_TOKENS, "withheld": "drop"}
    )
    prompts = [Prompt(prompt_id_of([each]), [each]) for each in (ASK, LONGER)]
    written = config.member()(prompts, folder, config.n, 0)
    return [response for row in written for response in row]


def logps(patient: Patient) -> Iterator[Check]:
    """Whether a forward pass gives the log-probabilities that responses were sampled with."""
    sampled = [r for r in patient.responses if r.logps is not None]
    if not sampled:
        yield Check("log-probabilities", "warning", "not compared: there is no sampled response")
        return
    pairs = [(r.prompt_token_ids or (), r.token_ids or ()) for r in sampled]
    scored = sequence_logps(patient.folder, pairs, ScoringConfig(scorer="transformers"))
    gaps = [(abs(r.logps - s), len(p[1])) for r, s, p in zip(sampled, scored, pairs, strict=True)]
    off, length = max(gaps)
    found = f"sampled and scored ones differ by {off:.2g} nats in {length} tokens"
    allowed = ROUNDING.get(str(own_dtype(patient.folder)), COARSE) * sqrt(length)
    if off <= allowed:
        yield Check("log-probabilities", "ok", found)
    else:
        mend = "Load it in float32 (`dtype` in its config.json), and tell its authors."
        yield Check("log-probabilities", "problem", f"{found}, more than {allowed:.2g}", mend)


def training(patient: Patient) -> Iterator[Check]:
    """Whether one step of DPO trains LoRA adapters that load as they were saved."""
    prompt, sides = _pair(patient)
    scoring = ScoringConfig(scorer="transformers")
    before = sequence_logps(patient.folder, [(prompt, side) for side in sides], scoring)
    trial = try_a_step(
        patient.folder,
        patient.work / "adapters",
        patient.work / "checkpoints",
        prompt,
        sides,
        (float(before[0]), float(before[1])),
    )
    found = f"a step with LoRA of rank {RANK}: margin 0 → {trial.trained:.3f}"
    yield Check("training", "ok" if trial.trained > 0 else "warning", found)
    yield Check("adapter", "ok", f"saved and loaded again: margin {trial.saved:.3f}")


def _pair(patient: Patient) -> tuple[Tokens, tuple[Tokens, Tokens]]:
    """A prompt's token ids, and those of two responses: of the model's own, or else given ones."""
    own = [r for r in patient.responses if r.token_ids]
    for first, second in pairwise(own):
        same = first.prompt_token_ids == second.prompt_token_ids
        if same and first.token_ids != second.token_ids:
            return first.prompt_token_ids or (), (first.token_ids or (), second.token_ids or ())
    prompt, chosen = turn_token_ids(patient.tokenizer, [ASK], "Blue.")
    return prompt, (chosen, turn_token_ids(patient.tokenizer, [ASK], "I do not know.")[1])


CHECKS: dict[str, Callable[[Patient], Iterator[Check]]] = {
    "files": files,
    "tokenizer": tokens,
    "template": template,
    "BOS": bos,
    "end tokens": ends,
    "length": positions,
    "generation": generation,
    "log-probabilities": logps,
    "training": training,
}
"""Name → function that yields checks, in the order in which a run needs what they look at."""
