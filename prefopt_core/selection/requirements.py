"""Checks of k that selection strategies share: `require_k`, and `require_pair` for k = 2."""

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


def require_pair(k: int, n: int) -> None:
    """Refuse a k other than 2, for strategies that choose which pair to ask about.

    Args:
        k: How many are to be selected.
        n: N, how many responses there are.

    Raises:
        ConfigError: k is not 2, or N is below 2.
    """
    if k != 2:
        raise ConfigError(
            f"Cannot select k={k}: the strategy chooses which two responses to compare. "
            "Set `selection.k` to 2."
        )
    require_k(k, n)
