"""Answers of servers that are no responses."""

import json

import pytest

from prefopt_core.generation.openai_api import generate
from prefopt_core.ground.ids import Prompt
from prefopt_core.ground.spending import Usage
from prefopt_core.models.server.kept import ResponseStore, ServedResponse

pytest.importorskip("openai", reason="the extra `openai` is not installed")
ONE = [Prompt("p", [{"role": "user", "content": "Hi"}])]


@pytest.fixture
def ask(loopback, tmp_path, monkeypatch):
    """Ask a server that answers `first` once and well from then on; two samples."""
    monkeypatch.setenv("PREFOPT_STORE", str(tmp_path / "store"))

    def ask(first=None, n=2, **params):
        good = lambda request: loopback.answer(request, ["Hello."] * request.get("n", 1))  # noqa: E731
        loopback.behave = lambda request, time: (
            (200, first(request, loopback)) if first and len(loopback.asked) == 1
            else (200, good(request))
        )  # fmt: skip
        params = {"base_url": loopback.url, "model_name": "m", "max_attempts": 3} | params
        (row,) = generate(ONE, None, n, 0, **params)
        texts = ", ".join(response.text for response in row)
        return f"{texts}; asked {len(loopback.asked)} times"

    return ask


def said(*texts, reason="stop", **fields):
    """An answer with these texts."""

    def first(request, server):
        answer = server.answer(request, list(texts), reason)
        for choice in answer["choices"]:
            choice |= fields
        return answer

    return first


RETRIED = "Hello., Hello.; asked 2 times"


@pytest.mark.case(
    "A 200 with an `error` beside its choices",
    reports="UKGovernmentBEIS/inspect_ai#1536",
    before="“Sorry” was kept as a response for good",
    expected=RETRIED,
)
def test_an_error_beside_the_choices(ask):
    return ask(
        lambda request, server: (
            server.answer(request, ["Sorry", "Sorry"])
            | {"error": {"code": 502, "message": "upstream failed"}}
        )
    )


@pytest.mark.case(
    "A choice with an `error` of its own, behind half a text (OpenRouter)",
    reports="genkit-ai/genkit#6259",
    before="the half text was kept as a response for good",
    expected=RETRIED,
)
def test_an_error_in_a_choice(ask):
    return ask(said("Hel", "Hel", error={"code": 502, "message": "upstream failed"}))


@pytest.mark.case(
    "Finish reasons that mean an interruption: error, abort, insufficient_system_resource",
    reports="genkit-ai/genkit#6259",
    before="withheld for good, the run ended",
    expected="3 × " + RETRIED,
)
def test_interruptions_are_repeated(ask, loopback):
    got = set()
    for seed, reason in enumerate(("error", "abort", "insufficient_system_resource")):
        loopback.asked.clear()
        got.add(ask(said("Hel", "Hel", reason=reason), extra_body={"seed_of_test": seed}))
    return f"3 × {got.pop()}" if len(got) == 1 else str(got)


@pytest.mark.case(
    'A choice whose text is `{"error": …}`',
    reports="tried here",
    before="the error was kept as a response for good",
    expected=RETRIED,
)
def test_an_error_as_json_in_the_text(ask):
    return ask(
        said(*[json.dumps({"error": {"message": "overloaded", "type": "server_error"}})] * 2)
    )


@pytest.mark.case(
    "A choice whose text is a proxy's: “upstream connect error …”, “502 Bad Gateway”, HTML",
    reports="tried here",
    before="the errors were kept as responses for good",
    expected=RETRIED,
)
def test_an_error_of_a_proxy_in_the_text(ask):
    text = "upstream connect error or disconnect/reset before headers. reset reason: overflow"
    page = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
    return ask(said(text, page))


@pytest.mark.case(
    "One error among good choices: the good one is kept, the other asked for again",
    reports="tried here",
    before="Right., 502 Bad Gateway; asked 1 times",
    expected="Right., Hello.; asked 2 times",
)
def test_good_choices_beside_an_error_are_kept(ask):
    return ask(said("Right.", "502 Bad Gateway"))


@pytest.mark.case(
    "Errors that an earlier version has kept as responses",
    reports="tried here",
    before="502 Bad Gateway, Kept.: served for good",
    expected="Hello., Kept.; asked 1 times",
)
def test_errors_that_were_kept_are_bought_again(ask, tmp_path, loopback):
    ask()  # for the keys
    store = ResponseStore(tmp_path / "store")
    with store.buying({"model": "m"}) as purchase:
        rows = purchase._connection.execute("SELECT writer, prompt FROM requests").fetchall()
        purchase._connection.execute("DELETE FROM requests")
        purchase._writer = rows[0][0]
        texts = ("502 Bad Gateway", "Kept.")
        purchase.commit(rows[0][1], 0, [ServedResponse(t, "stop") for t in texts], Usage(1, 1))
    loopback.asked.clear()
    return ask()


@pytest.mark.case(
    "Texts about errors, and JSON that a prompt asked for",
    reports="tried here",
    before="right",
    expected='A 502 Bad Gateway is a proxy\'s., {"error_rate": 0.1}; asked 1 times',
)
def test_texts_about_errors_are_responses(ask):
    return ask(said("A 502 Bad Gateway is a proxy's.", '{"error_rate": 0.1}'))


@pytest.mark.case(
    "Reasoning in the text of a choice, with and without its opening",
    reports="vllm-project/vllm#17144, vllm-project/vllm#13125",
    before="the reasoning was kept as part of the response",
    expected="Yes., Yes.; asked 1 times",
)
def test_reasoning_in_the_text(ask):
    return ask(said("<think>\nHm.\n</think>\n\nYes.", "Hm.\n</think>\n\nYes."))


@pytest.mark.case(
    "Responses that speak of the marks of reasoning",
    reports="tried here",
    before="right",
    expected="Write </think> to end it., <answer>4</answer>; asked 1 times",
)
def test_marks_amid_a_line_are_text(ask):
    return ask(said("Write </think> to end it.", "<answer>4</answer>"))


@pytest.mark.case(
    "Reasoning in a field of its own",
    reports="tried here",
    before="right",
    expected="Yes., Yes.; asked 1 times",
)
def test_reasoning_in_a_field(ask):
    message = {"content": "Yes.", "reasoning_content": "Hm.", "reasoning": "Hm."}
    return ask(said("Yes.", "Yes.", message=message))


@pytest.mark.case(
    "A choice that is cut off within its reasoning",
    reports="tried here",
    before="“<think> Hm” was taken for a response",
    expected="refused: 2 of 2 responses … no text that could be used … raise `max_new_tokens`…",
)
def test_a_choice_cut_off_within_its_reasoning(ask):
    return ask(said("<think>\nHm", "<think>\nHm", reason="length"))


@pytest.mark.case(
    "A server on this machine, and HTTP_PROXY is set",
    reports="tried here",
    before="the proxy was asked: no answer",
    expected="Hello., Hello.; asked 1 times",
)
def test_loopback_does_not_go_through_a_proxy(ask, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    return ask()
