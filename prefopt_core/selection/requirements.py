"""What a strategy may ask of its arguments, and the errors that say what to change."""

from prefopt_core.ground.errors import ConfigError


def require_k(k: int, n: int, of: str = "responses") -> None:
    """Refuse a k outside 2..N; `of` says what there are N of."""
    if not 2 <= k <= n:
        raise ConfigError(
            f"Cannot select k={k} of N={n} {of}: k must lie between 2 and N. "
            "Lower `selection.k` or raise `generation.n`."
        )
