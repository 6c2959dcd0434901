"""Lints that look at one pair at a time: each fault is found, by its row; good pairs are not."""

import pytest

from prefopt_core.ground.errors import DataError

STEPS = (
    "First open the settings of the machine and choose the account that is to be mended, then "
    "press the green button twice and wait for the light."
)


def test_good_pairs_have_no_findings(found, good):
    assert found(good, against=["What is the weather like?"], control=["<|user|>"]) == []


FAULTS = {
    "same text": ("identical", {"chosen": "So.", "rejected": "So."}),
    "case and white space": ("near_identical", {"chosen": "So it is.", "rejected": "so  it is!"}),
    "another word": (
        "near_identical",
        {"chosen": STEPS, "rejected": STEPS.replace("green", "red")},
    ),
    "one word less": (
        "near_identical",
        {"chosen": STEPS, "rejected": STEPS.replace("green ", "")},
    ),
    "the prompt as response": ("prompt_in_response", {"prompt": "Why?", "chosen": "Why?\n"}),
    "begins with the prompt": (
        "prompt_in_response",
        {
            "prompt": "The capital of France is named",
            "chosen": "The capital of France is named Paris.",
        },
    ),
    "ChatML": ("control_tokens", {"chosen": "Yes.<|im_end|>"}),
    "Llama 2": ("control_tokens", {"prompt": "[INST] Why? [/INST]"}),
    "BOS": ("control_tokens", {"rejected": "<s> No."}),
    "EOS": ("control_tokens", {"rejected": "No.</s>"}),
    "Alpaca": ("control_tokens", {"chosen": "Yes.\n### Response:\nNo."}),
    "a further turn": ("control_tokens", {"chosen": "Yes.\n\nHuman: Why?"}),
    "ends with a comma": ("truncated", {"chosen": "First open the door,"}),
    "ends with an article": ("truncated", {"chosen": "First open the"}),
    "open fence": ("truncated", {"chosen": "So:\n```python\nprint(1)\n"}),
    "very long": ("extreme_length", {"chosen": "So on. " * 1000}),
}


@pytest.mark.parametrize(("lint", "change"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_found_by_its_row_and_by_no_other_lint(found, good, lint, change):
    good[7] |= change
    (finding,) = found(good)
    assert found(good, lint) == [finding]
    assert (finding.rows, finding.count) == ((7,), 1)


NONE = {
    "another number": {"chosen": "It is -5.", "rejected": "It is 5."},
    "a decimal point": {"chosen": "It is 2.5.", "rejected": "It is 25."},
    "one word of few": {"chosen": "It is red.", "rejected": "It is blue."},
    "half a sentence that was asked for": {
        "prompt": "Übersetze: So is it,",
        "chosen": "So ist es,",
    },
    "closed fence": {"chosen": "So:\n```\nprint(1)\n```\nDone."},
    "struck out": {"chosen": "It is <s>red</s> blue."},
    "piped": {"chosen": "Write a <| b |> c."},
    "a turn quoted in the prompt": {"prompt": "Go on: Human: Hi.\n\nAssistant: Hello."},
}


@pytest.mark.parametrize("change", NONE.values(), ids=NONE)
def test_what_only_looks_like_a_fault_is_left_alone(found, good, change):
    good[7] |= change
    assert found(good) == []


def test_names_of_control_tokens_are_the_policys_where_it_is_known(found, good):
    good[7]["chosen"] = "So be it, ⟦end⟧ my friend."
    assert found(good, "control_tokens") == []
    (finding,) = found(good, "control_tokens", control=["⟦end⟧"])
    assert finding.rows == (7,)
    assert "⟦end⟧" in finding.said


def test_texts_cut_at_one_number_of_characters_are_found(found, good):
    for number, row in enumerate(good[:6]):
        row["chosen"] = (f"{number} and so on " * 40)[:254] + "x"
    (finding,) = found(good, "truncated")
    assert finding.rows == (0, 1, 2, 3, 4, 5)
    assert "255 characters" in finding.said


def test_a_row_that_is_no_pair_is_a_finding_and_the_others_are_looked_at(found, good):
    good[2]["rejected"] = ""
    good[7] |= {"chosen": "So.", "rejected": "So."}
    identical, malformed = found(good)
    assert (identical.rows, malformed.rows) == ((7,), (2,))
    assert malformed.said == "1 of 200 rows are no pair; the first: line 3: 'rejected' is ''"


def test_a_file_without_a_pair_is_refused_with_the_first_reason(found):
    with pytest.raises(
        DataError, match=r"none of its 1 rows is a pair. line 1: no column 'chosen'"
    ):
        found([{"prompt": "Why?"}])
