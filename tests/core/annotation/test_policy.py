"""SPA's judge: β times the log-ratio, against the golden cases."""

import json
from pathlib import Path

import numpy as np
import pytest

from prefopt_core.annotation.policy import annotate
from prefopt_core.errors import ConfigError
from prefopt_core.implicit_reward import preference_probability

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "spa.json").read_text())["cases"]


@pytest.mark.parametrize("case", [c for c in GOLDEN if c["kind"] == "judgment"])
def test_judges_as_the_golden_cases_do(case, request_for):
    requests = [
        request_for("hi", str(i), policy_logps=policy, reference_logps=reference)
        for i, (policy, reference) in enumerate(
            zip(case["policy_sum_logp"], case["init_ref_sum_logp"], strict=True)
        )
    ]
    scores = list(annotate(requests, beta=case["beta"]))
    expected = case["beta"] * np.array(case["implicit_reward_no_beta"])
    assert scores == pytest.approx(expected, abs=1e-5)
    chosen, rejected = int(np.argmax(scores)), int(np.argmin(scores))
    assert (chosen, rejected) == (case["chosen"], case["rejected"])
    probability = preference_probability(scores[chosen], scores[rejected])
    assert probability == pytest.approx(case["p_chosen_over_rejected"], abs=1e-6)


@pytest.mark.parametrize("missing", ["policy_logps", "reference_logps"])
def test_without_log_probabilities_it_says_where_it_belongs(request_for, missing):
    logps = {"policy_logps": -1.0, "reference_logps": -2.0} | {missing: None}
    with pytest.raises(ConfigError, match=r"Use it as `judge\.annotator`"):
        list(annotate([request_for("hi", "ho", **logps)]))
