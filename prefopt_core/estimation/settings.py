"""Settings of the section `estimation`."""

from typing import Literal

from pydantic import Field

from prefopt_core.ground.settings import Config


class EstimationConfig(Config):
    """What is believed of rewards before a label is bought, for strategies that choose by that."""

    source: Literal["labels", "ensemble", "policy"] = Field(
        "labels",
        description="labels: Bayesian logistic regression of the labelled pairs of earlier rounds "
        "on embeddings; in the first round there are none and the embeddings alone decide. "
        "ensemble: heads of two layers, each with first weights of its own, trained on the same "
        "pairs and embeddings; in the first round the first weights decide. policy: "
        "the policy's implicit reward against the start policy, without any spread.",
    )
    heads: int = Field(
        20,
        ge=2,
        description="Rewards drawn from what is believed, for strategies that compare them; of an "
        "ensemble, how many it has.",
    )
