"""What requests cost: at the prices of the config, else at those of an offline table."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import metadata
from typing import Any

from prefopt_core.ground.extras import import_extra
from prefopt_core.ground.spending import Usage

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prices:
    """Prices of a million tokens of one model; the table of `genai-prices` where none is given.

    The table is a snapshot within that package, so nothing is looked up over the network, and it
    goes by the address: a server on this machine has no price, whatever its model is called.

    Attributes:
        prompt: Of prompt tokens, any currency; None: see the table.
        completion: Of tokens that the model writes, in the same currency; None: see the table.
        base_url: The server's address.
        model_name: The model's name there.
    """

    prompt: float | None
    completion: float | None
    base_url: str
    model_name: str

    @cached_property
    def known(self) -> tuple[float, float] | None:
        """Prices of a million (prompt, completion) tokens; None if they are not known."""
        if self.prompt is not None or self.completion is not None:
            return self.prompt or 0.0, self.completion or 0.0
        return _in_table(self.base_url, self.model_name)

    def cost(self, prompt_tokens: int | None, completion_tokens: int | None) -> float | None:
        """What so many tokens cost; None if the tokens or the prices are not known."""
        if self.known is None or prompt_tokens is None or completion_tokens is None:
            return None
        prompt, completion = self.known
        return (prompt_tokens * prompt + completion_tokens * completion) / 1e6

    def usage(self, prompt_tokens: int | None, completion_tokens: int | None) -> Usage:
        """Tokens and cost of a request that took so many."""
        cost = self.cost(prompt_tokens, completion_tokens)
        return Usage(prompt_tokens, completion_tokens, cost)

    def most(self, content: Mapping[str, Any], completion_tokens: int) -> float:
        """The most that a request can cost; 0 if the prices are not known.

        A token has a byte at least, and the punctuation of JSON is more than a chat template adds.

        Args:
            content: The fields of the request that hold what the model reads.
            completion_tokens: The most that it may write.
        """
        size = len(json.dumps(content, ensure_ascii=False).encode("utf-8", "surrogatepass"))
        return self.cost(size, completion_tokens) or 0.0


@cache
def _in_table(base_url: str, model_name: str) -> tuple[float, float] | None:
    """Prices of a million (prompt, completion) tokens in US dollars, as `genai-prices` has them."""
    table = import_extra("genai_prices", "openai")
    try:
        million = table.calc_price(
            table.Usage(input_tokens=1_000, output_tokens=1_000),
            model_name,
            provider_api_url=base_url,
        )
    except LookupError:
        return None
    prices = float(million.input_price) * 1e3, float(million.output_price) * 1e3
    log.info(
        "%s at %s: $%.4g and $%.4g a million prompt and completion tokens, by genai-prices %s.",
        model_name,
        base_url,
        *prices,
        price_table(),
    )
    return prices


def price_table() -> str:
    """Version of the table of prices."""
    return metadata.version("genai-prices")
