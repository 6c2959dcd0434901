"""`require_k`, the check of k that all selection strategies share."""

from prefopt_core.ground.errors import ConfigError


def require_k(k: int, n: int, of: str = "responses") -> None:
    """Refuse a k outside 2..N.

    Args:
        k: How many are to be selected.
        n: N, how many there are.
        of: What there are N of, for the message.

    Raises:
        ConfigError: k is outside.
    """
    if not 2 <= k <= n:
        raise ConfigError(
            f"Cannot select k={k} of N={n} {of}: k must lie between 2 and N. "
            "Lower `selection.k` or raise `generation.n`."
        )
