"""Lints that look at many pairs together."""

import polars as pl
import pytest

from prefopt_core.ground.tables import TABLES, empty
from prefopt_core.inputs.prompts import of_texts
from prefopt_core.lint.endings import truncated
from prefopt_core.lint.findings import Known
from prefopt_core.lint.lengths import length_bias
from prefopt_core.lint.settings import LintConfig
from prefopt_core.lint.table import lint_pairs
from prefopt_core.lint.texts import texts_of


def pair(prompt, chosen, rejected, **more):
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected} | more


def test_a_repeated_pair_is_found_but_not_that_two_annotators_agree(found, good):
    good += [good[3] | {"rejected": good[3]["rejected"].upper()}]
    (finding,) = found(good, "repeated_pair")
    assert finding.rows == (200,)
    good[-1]["annotator"] = "somebody else"
    assert found(good, "repeated_pair") == []


def test_the_same_prompt_in_other_letters_is_found(found, good):
    good[9]["prompt"] = "how do I mend machine number 3"
    (finding,) = found(good, "repeated_prompt")
    assert finding.rows == (9,)


def test_both_orders_of_a_pair_contradict_each_other_and_make_no_cycle(found):
    rows = [pair("Hi", "a", "b"), pair("Hi", "a", "c"), pair("Hi", "b", "a")]
    (finding,) = found(rows, "contradiction", "cycle")
    assert finding.rows == (0, 2)


def test_a_cycle_is_found_within_one_prompt_only(found):
    circle = [("a", "b"), ("b", "c"), ("c", "a")]
    rows = [pair("Hi", *sides) for sides in [*circle, ("a", "d")]]
    (finding,) = found(rows, "cycle", "contradiction")
    assert finding.rows == (0, 1, 2)
    assert "at 1 prompt:" in finding.said
    # the same texts, each pair at a prompt of its own
    assert found([pair(f"Hi {i}", *sides) for i, sides in enumerate(circle)], "cycle") == []


@pytest.mark.parametrize("word", ["longer", "shorter"])
def test_a_choice_by_length_is_found_by_annotator(found, good, word):
    for row in good[:60]:
        texts = sorted((row["chosen"], row["rejected"]), key=len, reverse=word == "longer")
        row |= dict(zip(("chosen", "rejected"), texts, strict=True)) | {"annotator": "Ann"}
    (finding,) = found(good, "length_bias")
    assert finding.said.startswith(f"Ann chooses the {word} response in 100 % [9")


def test_a_habit_that_is_reported_with_the_labels_is_not_found_again():
    pairs = texts_of(sampled([9, 8] * 30, [2] * 60)).with_columns(
        annotator=pl.lit("Ann"), source=pl.lit("gold"), chosen=pl.lit("A longer response.")
    )
    assert [f.count for f in length_bias(pairs, Known())] == [30]
    assert list(length_bias(pairs, Known(reported=True))) == []
    own = pairs.with_columns(source=pl.lit("self"))
    (finding,) = length_bias(own, Known(reported=True))
    assert (finding.count, "`pairing.length_penalty: auto`" in finding.advice) == (30, True)


def test_pairs_of_few_prompts_say_nothing_about_length(found):
    rows = [
        pair(f"Hi {i % 19}", f"A longer response, number {i}.", f"Short {i}.") for i in range(95)
    ]
    assert found(rows, "length_bias") == []


def test_few_pairs_say_nothing_about_length(found):
    rows = [pair(f"Hi {i}", "A longer response.", "Short.") for i in range(19)]
    assert found(rows, "length_bias") == []
    assert found([*rows, pair("Ho", "A longer response.", "Short.")], "length_bias")


def test_refusals_that_are_chosen_are_found(found, good):
    for row in good[:30]:
        row["chosen"] = "I’m sorry, but as an AI language model I cannot help."
    (finding,) = found(good, "refusal_chosen")
    assert finding.rows == tuple(range(30))
    for row in good[:30]:
        row["chosen"], row["rejected"] = row["rejected"], row["chosen"]
    assert found(good, "refusal_chosen") == []


LONG = (
    "Please tell me how the old machine in the cellar of the house by the river can be mended "
    "before the winter comes and the water in its pipes is ice"
)


def test_prompts_of_the_test_are_found_alike_and_nearly_alike(found, good):
    good[5]["prompt"] = LONG + " and nobody can."
    rows = [
        found(good, "leaked_prompt", against=against)[0].rows
        for against in (
            [good[3]["prompt"]],
            ["how do i mend  machine number 4"],
            [f"Dear friend. {LONG}, alas."],
        )
    ]
    assert rows == [(3,), (4,), (5,)]
    assert found(good, "leaked_prompt", against=["How do I mend machine number 4000?"]) == []
    # the second half of it is another request
    half = " ".join(LONG.split()[:15]) + " be sold for a good price to somebody far away from here"
    assert found(good, "leaked_prompt", against=[half]) == []


def verdicts(firsts, seconds, *, by="Bob"):
    """So many comparisons in which the first, the second is better."""
    content = [0.9] * firsts + [0.1] * seconds
    rows = [
        {
            "question_id": str(number), "prompt_id": f"p{number}", "responses": ["a", "b"],
            "annotator": "people", "by": by, "state": "given",
            "scores": None, "preference": p,
            "why": "", "cost": None, "seconds": None,
        }
        for number, p in enumerate(content)
    ]  # fmt: skip
    ties = [rows[0] | {"question_id": "tie", "state": "tie", "scores": None, "preference": None}]
    return pl.DataFrame(rows + ties, schema=TABLES["verdicts"].columns)


def test_who_always_takes_the_same_side_is_named(found, good):
    table = pl.concat([verdicts(38, 2), verdicts(21, 19, by="Eve")])
    (finding,) = found(good, verdicts=table)
    assert finding.said.startswith(
        "people: Bob finds the response better that is shown first in 95 %"
    )
    (finding,) = found(good, "always_first", verdicts=verdicts(1, 39))
    assert "shown second in 98 %" in finding.said
    assert found(good, "always_first", verdicts=verdicts(19, 0)) == []


def sampled(lengths, ends):
    """Pairs with token ids: of such lengths, with such last tokens."""
    said = [[{"role": "assistant", "content": f"{i}"}] for i in range(len(lengths))]
    ids = [[1] * (n - 1) + [end] for n, end in zip(lengths, ends, strict=True)]
    columns = TABLES["preferences"]
    return pl.DataFrame(
        {
            "prompt_id": [str(i) for i in range(0, len(ids), 2)],
            "prompt": [[{"role": "user", "content": f"Why {i}?"}] for i in range(0, len(ids), 2)],
            "chosen": said[::2], "rejected": said[1::2],
            "chosen_token_ids": ids[::2], "rejected_token_ids": ids[1::2],
        },
        schema_overrides={**columns.columns, **columns.optional},
    )  # fmt: skip


def test_sampled_responses_are_cut_off_at_the_limit_without_the_token_that_ends_others():
    lengths = [20] * 30 + list(range(5, 15)) * 3
    of_limit = list(truncated(texts_of(sampled(lengths, [2] * 60)), Known()))
    assert of_limit == []  # as long as the longest, and finished
    cut = sampled(lengths, list(range(10, 40)) + [2] * 30)
    (finding,) = truncated(texts_of(cut), Known())
    assert (finding.count, finding.of, finding.rows) == (30, 60, tuple(range(15)))
    few = sampled(lengths, [*range(10, 13)] + [2] * 57)
    assert list(truncated(texts_of(few), Known())) == []


def test_a_table_of_verdicts_is_looked_at_without_pairs():
    known = Known(held_out=of_texts(["Hi"]), verdicts=verdicts(40, 0), control=["<s>"])
    findings = lint_pairs(empty("preferences"), LintConfig(), known)
    assert findings["lint"].to_list() == ["always_first"]
