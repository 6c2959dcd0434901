"""What requests cost: at the prices of the config, else at those of an offline table."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import metadata
from typing import Any
from urllib.parse import urlsplit

from prefopt_core.ground.extras import import_extra
from prefopt_core.ground.loopback import HERE
from prefopt_core.ground.spending import Usage


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

    @property
    def tables(self) -> frozenset[str]:
        """The table that these prices are of, with its version; none if the config gives them."""
        if self.known is None or self.prompt is not None or self.completion is not None:
            return frozenset()
        return frozenset({f"genai-prices {metadata.version('genai-prices')}"})

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
        return self.cost(self.size(content), completion_tokens) or 0.0

    @staticmethod
    def size(content: Mapping[str, Any]) -> int:
        """Bytes of what the model reads."""
        return len(json.dumps(content, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def missing_price(prices: Prices) -> Iterator[str]:
    """The doubt that a budget in money does not see what a hosted model costs."""
    host = urlsplit(prices.base_url).hostname
    if prices.known is None and host not in HERE:
        yield (
            f"the price of {prices.model_name} at {prices.base_url} is not known, so its cost is "
            "not counted, nor held to a budget in money. Set `params.price_prompt` and "
            "`params.price_completion`."
        )


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
    return float(million.input_price) * 1e3, float(million.output_price) * 1e3
