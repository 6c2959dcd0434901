"""SPA's judge: β times the log-ratio, against the golden cases."""

import json
from pathlib import Path

import numpy as np
import pytest

from prefopt_core.annotation.policy import annotate
from prefopt_core.ground.errors import ConfigError
from prefopt_core.implicit_reward import preference_probability
from tests.verdicts import question, scores_of

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "spa.json").read_text())["cases"]


@pytest.mark.parametrize("case", [c for c in GOLDEN if c["kind"] == "judgment"])
def test_judges_as_the_golden_cases_do(case):
    questions = [
        question("hi", str(i), policy_logps=policy, reference_logps=reference)
        for i, (policy, reference) in enumerate(
            zip(case["policy_sum_logp"], case["init_ref_sum_logp"], strict=True)
        )
    ]
    scores = scores_of(annotate(questions, beta=case["beta"]))
    expected = case["beta"] * np.array(case["implicit_reward_no_beta"])
    assert scores == pytest.approx(expected, abs=1e-5)
    chosen, rejected = int(np.argmax(scores)), int(np.argmin(scores))
    assert (chosen, rejected) == (case["chosen"], case["rejected"])
    probability = preference_probability(scores[chosen], scores[rejected])
    assert probability == pytest.approx(case["p_chosen_over_rejected"], abs=1e-6)


def test_without_log_probabilities_it_says_where_it_belongs():
    with pytest.raises(ConfigError, match=r"Use it as `judge\.annotator`"):
        list(annotate([question("hi", "ho", reference_logps=-2.0)]))


def test_without_a_reference_the_log_probability_alone_counts():
    questions = [question("hi", "ho", policy_logps=logps) for logps in (-8.0, -3.0)]
    assert scores_of(annotate(questions, beta=0.5)) == [-4.0, -1.5]


def test_length_costs_by_the_word():
    texts = ["", "one", "two\nwords", "  and  three words "]
    questions = [question("hi", text, policy_logps=-1.0, reference_logps=-3.0) for text in texts]
    plain = scores_of(annotate(questions, beta=0.1))
    assert plain == pytest.approx([0.2] * 4)
    penalised = scores_of(annotate(questions, beta=0.1, length_penalty=0.05))
    assert penalised == pytest.approx([0.2 - 0.05 * words for words in range(4)])
