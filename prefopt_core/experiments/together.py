"""What sections of a config ask of each other, refused where it is not there."""

from prefopt_core.annotation.settings import JudgeConfig
from prefopt_core.embedding.settings import EmbeddingConfig
from prefopt_core.estimation.settings import EstimationConfig
from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.ground.errors import ConfigError
from prefopt_core.pairing.settings import PairingConfig
from prefopt_core.selection.settings import SelectionConfig
from prefopt_core.training.settings import TrainingConfig


def require_win_rates(training: TrainingConfig, pairing: PairingConfig) -> None:
    """Refuse to learn win rates of pairs that do not say them.

    Raises:
        ConfigError: The loss is 'sppo', and `pairing.win_rates` is off.
    """
    if training.loss == "sppo" and not pairing.win_rates:
        raise ConfigError(
            "The loss 'sppo' learns how often each response wins. Set `pairing.win_rates: true`, "
            "or `training.loss` to 'sppo_hard', which takes a winner to win always."
        )


def check_k(generation: GenerationConfig, selection: SelectionConfig) -> None:
    """Refuse to select more responses than will be generated.

    Raises:
        ConfigError: `selection.k` is above `generation.n`.
    """
    if generation.generator != "file" and selection.k > generation.n:
        raise ConfigError(
            f"Cannot select k={selection.k} of N={generation.n} responses: k must lie between 2 "
            "and N. Lower `selection.k` or raise `generation.n`."
        )


def require_judge(judge: JudgeConfig, training: TrainingConfig, pairing: PairingConfig) -> None:
    """Refuse a judge that does not say what pairing or training is to know of it.

    Raises:
        ConfigError: It compares, or is calibrated, and `pairing.length_penalty` is set; or it is
            not the policy, and the loss weighs labels by two judges.
    """
    if pairing.length_penalty and judge.calibrated:
        raise ConfigError(
            "`judge.calibrated` finds what length costs. Leave `pairing.length_penalty` out."
        )
    if pairing.length_penalty and judge.asking.ask != "score":
        raise ConfigError(
            "`pairing.length_penalty` is subtracted from scores, and the judge compares. Set "
            "`judge.params.ask: score`, or leave the penalty out."
        )
    if training.weighs_judges and judge.annotator != "policy":
        raise ConfigError(
            f"The loss {training.loss!r} asks how far the policy and the one before judge alike; "
            f"{judge.annotator!r} is the same in each round. Set `judge.annotator: policy`, or "
            "`training.loss: dpo`."
        )


def refuse_judges(training: TrainingConfig) -> None:
    """Refuse a loss that weighs labels by two judges, where there is no judge.

    Raises:
        ConfigError: It is one.
    """
    if training.weighs_judges:
        raise ConfigError(
            f"The loss {training.loss!r} weighs what the policy judges itself; here all labels are "
            "paid for. Use `align` or `spa`, or `training.loss: dpo`."
        )


def refuse_estimates(selection: SelectionConfig) -> None:
    """Refuse a strategy that needs estimates of rewards, where there are none.

    Raises:
        ConfigError: It does.
    """
    if selection.needs_estimates:
        raise ConfigError(
            f"Strategy {selection.strategy!r} needs estimates of rewards, which only flow `align` "
            "makes, from the labels of its earlier rounds or its policy. Use `align`, or a "
            "strategy that needs none, such as 'aepo'."
        )


def check_estimates(
    selection: SelectionConfig, estimation: EstimationConfig, embedding: EmbeddingConfig | None
) -> None:
    """Refuse to select by estimated rewards that cannot be estimated, or not so.

    Raises:
        ConfigError: There is nothing to estimate them from, or one estimate where several are
            compared.
    """
    by_policy = estimation.source == "policy"
    if selection.needs_estimates and not by_policy and embedding is None:
        raise ConfigError(
            f"Strategy {selection.strategy!r} needs estimates of rewards, which "
            f"`estimation.source: {estimation.source}` makes from embeddings. Set "
            "`embedding`, or `estimation.source` to 'policy'."
        )
    if selection.needs_estimates and not by_policy and embedding and embedding.by_policy:
        raise ConfigError(
            "`embedding.embedder: policy` has another space in each round, and rewards are "
            "estimated from the vectors of all. Set it to 'sentence-transformers', or "
            "`estimation.source` to 'policy'."
        )
    if selection.needs_heads and by_policy:
        raise ConfigError(
            f"Strategy {selection.strategy!r} compares several estimates of each reward; "
            "`estimation.source: policy` gives one. Set it to 'labels' or 'ensemble'."
        )
