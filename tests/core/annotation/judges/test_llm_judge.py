"""What a judge on a server is asked, and what comes of it."""

import json
import math
import threading

import pytest

pytest.importorskip("openai", reason="the extra `openai` is not installed")


# --- what is asked ----------------------------------------------------------------------------


def test_a_judge_is_shown_the_prompt_and_both_responses_in_their_order(
    judge, loopback, says, better, question_about
):
    says(better("A"))
    asked = question_about("Why is the sky blue?", "Rayleigh.", "Paint.")
    judge([asked, asked.turned()])
    first, second = sorted(
        (request["messages"][-1]["content"] for request in loopback.asked),
        key=lambda text: text.index("Paint.") < text.index("Rayleigh."),
    )
    assert first.index("sky blue") < first.index("Rayleigh.") < first.index("Paint.")
    assert second.index("Paint.") < second.index("Rayleigh.")


def test_a_request_has_the_settings_and_no_more(judge, loopback, pairs, says, better):
    says(better("A"))
    judge(pairs[:1], temperature=None, max_new_tokens=9, length_field="max_completion_tokens",
          seeded=False, extra_body={"reasoning_effort": "low"})  # fmt: skip
    (request,) = loopback.asked
    assert [message["role"] for message in request.pop("messages")] == ["system", "user"]
    assert request == {"model": "j", "max_completion_tokens": 9, "reasoning_effort": "low"}


def test_probabilities_are_asked_for_where_a_token_is_read(judge, loopback, pairs, says):
    says("m")
    for top_logprobs in (7, 0):
        judge(pairs[:1], template="one-token", max_new_tokens=1, top_logprobs=top_logprobs)
    assert [request.get("top_logprobs") for request in loopback.asked] == [7, None]
    assert [request.get("logprobs") for request in loopback.asked] == [True, None]


def test_guidelines_are_shown_to_the_judge(judge, loopback, pairs, says, better, write):
    says(better("A"))
    judge(pairs[:1], guidelines=str(write("rules.txt", "Be strict about {{ facts }}.\n")))
    assert "Be strict about {{ facts }}." in loopback.asked[0]["messages"][-1]["content"]


# --- what comes of it -------------------------------------------------------------------------


def test_verdicts_come_in_the_order_of_the_questions(judge, loopback, question_about, better):
    asked = [question_about(f"{i}?", f"good {i}", f"bad {i}") for i in range(20)]
    mixed = [each.turned() if n % 3 else each for n, each in enumerate(asked)]

    def behave(request, time):
        text = request["messages"][-1]["content"]
        threading.Event().wait(0.03 * (hash(text) % 5))
        good_first = text.index("good") < text.index("bad")
        return 200, loopback.answer(request, texts=[better("A" if good_first else "B")])

    loopback.behave = behave
    verdicts = judge(mixed, concurrency=7)
    assert [v.preference for v in verdicts] == [0.0 if n % 3 else 1.0 for n in range(20)]
    assert {v.by for v in verdicts} == {"j"}
    assert json.loads(verdicts[0].why)["reason"] == "So it is."


@pytest.mark.parametrize(("mark", "state"), [("tie", "tie"), ("neither", "both_bad")])
def test_a_judge_may_find_both_alike_or_both_bad(judge, says, better, mark, state):
    says(better(mark))
    assert {verdict.state for verdict in judge()} == {state}


def test_a_response_is_scored_by_the_rubric(judge, says, question_about):
    says('{"reason": "Fine.", "score": 7.5}')
    (verdict,) = judge([question_about("Why?", "So.")], ask="score", template="rubric")
    assert verdict.scores == (7.5,)


def test_the_probability_is_that_of_the_verdicts_tokens(judge, says, pairs):
    likely = {"m": 0.6, "M": 0.2, " M": 0.1, "The": 0.1}
    top = [{"token": token, "logprob": math.log(p)} for token, p in likely.items()]
    says("m", logprobs={"content": [{**top[0], "top_logprobs": top}]})
    (verdict,) = judge(pairs[:1], template="one-token")
    assert verdict.preference == pytest.approx(0.6 / 0.9)


def test_a_logprob_that_is_no_number_leaves_the_answer_countable(judge, says, pairs, responses):
    likely = {"m": -0.1, "M": float("-inf"), "n": float("nan")}
    top = [{"token": token, "logprob": logp} for token, logp in likely.items()]
    says("m", logprobs={"content": [{"token": "m", "logprob": -0.1, "top_logprobs": top}]})
    assert [v.preference for v in judge(pairs[:1], template="one-token")] == [1.0]
    assert responses.bought()[0].responses == 1


def test_without_probabilities_the_verdict_is_certain(judge, says, pairs):
    says("M", logprobs={"tokens": ["M"], "odd": 1})
    assert judge(pairs[:1], template="one-token")[0].preference == 0.0


# --- answers that are no verdict --------------------------------------------------------------

NO_VERDICT = {
    "empty": ({}, "", ""),
    "refused": ({"message": {"content": None, "refusal": "I cannot."}}, "", "(refusal) I cannot."),
    "filtered": ({"finish_reason": "content_filter"}, "I wa", "(content_filter) I wa"),
    "cut JSON": ({"finish_reason": "length"}, '{"reason": "Beca', '(length) {"reason": "Beca'),
    "cut off": ({"finish_reason": "length"}, '{"better": "A"} or', '(length) {"better": "A"} or'),
    "another form": ({}, "I like the first.", "I like the first."),
    "another mark": ({}, '{"better": "C"}', '{"better": "C"}'),
    "no text in the field": ({}, '{"better": ["A"]}', '{"better": ["A"]}'),
    "thoughts only": ({}, '<think>{"better": "A"}', '<think>{"better": "A"}'),
}


@pytest.mark.parametrize(("choice", "text", "why"), NO_VERDICT.values(), ids=NO_VERDICT)
def test_an_answer_that_is_no_verdict_is_asked_for_again_then_kept_as_invalid(
    judge, loopback, says, pairs, choice, text, why
):
    says(text, **choice)
    (verdict,) = judge(pairs[:1], attempts=3)
    assert (verdict.state, verdict.why) == ("invalid", why)
    assert len(loopback.asked) == 3
    assert verdict.usage.prompt_tokens == 30


def test_asked_again_the_judge_sees_what_it_said(judge, loopback, says, better, pairs):
    says("The first, I think.", better("A"))
    (verdict,) = judge(pairs[:1])
    assert verdict.preference == 1.0
    _, said, again = loopback.asked[1]["messages"][-3:]
    assert said == {"role": "assistant", "content": "The first, I think."}
    assert "not the JSON" in again["content"]


def test_asked_again_after_silence_no_two_messages_are_the_users(
    judge, loopback, says, better, pairs
):
    says("", better("B"))
    assert judge(pairs[:1])[0].preference == 0.0
    assert [message["role"] for message in loopback.asked[1]["messages"]] == ["system", "user"]
