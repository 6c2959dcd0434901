"""A server of a judge that is slow, broken or unwilling: waited for, or told with a reason."""

import pytest

from prefopt_core.ground.errors import ConfigError, ServerError

pytest.importorskip("openai", reason="the extra `openai` is not installed")


TROUBLE = {
    "500": lambda server: (500, {"error": {"message": "oh"}}),
    "429": lambda server: (429, {"error": {"message": "slow"}}, {"Retry-After": "0.01"}, 0),
    "stall": lambda server: server.stall(),
    "garbage": lambda server: (200, b"\x00\xff garbage"),
    "cut JSON": lambda server: (200, b'{"choices": [{"index": 0, "mess'),
    "connection lost": lambda server: (200, {"choices": []}, {}, 15),
    "an error inside a 200": lambda server: (200, {"error": {"message": "oh"}}),
    "an error as a text": lambda server: (
        200, {"choices": [{"finish_reason": "stop", "message": {"content": "502 Bad Gateway"}}]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("trouble", TROUBLE.values(), ids=TROUBLE)
def test_trouble_that_passes_is_waited_out(judge, loopback, better, trouble):
    loopback.behave = lambda request, time: (
        trouble(loopback) if time == 1 else (200, loopback.answer(request, texts=[better("A")]))
    )
    timeout_s = 1 if trouble is TROUBLE["stall"] else 60
    assert [verdict.preference for verdict in judge(timeout_s=timeout_s)] == [1.0] * 3


def test_after_the_last_attempt_the_verdicts_before_it_were_given(judging, loopback, better):
    def behave(request, time):
        if "Question 2?" in request["messages"][-1]["content"]:
            return 502, {"error": {"message": "the model fell over"}}
        return 200, loopback.answer(request, texts=[better("A")])

    loopback.behave = behave
    verdicts, given = judging(max_attempts=2, concurrency=1), []
    with pytest.raises(ServerError, match=r"HTTP 502.*2 of 3 answers are kept") as caught:
        given.extend(verdicts)
    assert "lower `params.concurrency`" in str(caught.value)
    assert len(given) == 2
    loopback.asked.clear()
    loopback.behave = lambda request, time: (
        200, loopback.answer(request, texts=[better("B")]),
    )  # fmt: skip
    assert [verdict.preference for verdict in judging()] == [1.0, 1.0, 0.0]
    assert len(loopback.asked) == 1


@pytest.mark.parametrize(
    ("status", "advice"),
    [(400, "`top_logprobs`"), (401, "`params.api_key_env`"), (404, "`params.model_name`")],
)
def test_a_refused_request_ends_it_with_the_settings_to_look_at(judge, loopback, status, advice):
    loopback.behave = lambda request, time: (status, {"error": {"message": "No."}})
    with pytest.raises(ConfigError, match=rf"refuses .*HTTP {status}") as told:
        judge(concurrency=1)
    assert advice in str(told.value)
    assert len(loopback.asked) == 1


def test_a_key_that_is_not_there_is_told(judge):
    with pytest.raises(ConfigError, match=r"NO_SUCH_KEY, which `params\.api_key_env` names"):
        judge(api_key_env="NO_SUCH_KEY")
