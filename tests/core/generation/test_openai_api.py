"""What a server is asked, and what comes of it."""

import asyncio
import sys

import pytest

from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.generation.table import generate_candidates
from prefopt_core.ground.errors import ConfigError, MissingExtraError
from prefopt_core.ground.ids import Prompt
from prefopt_core.ground.tables import check_table
from prefopt_core.inputs.prompts import from_file
from prefopt_core.models.tokens import load_tokenizer, prompt_token_ids
from tasks.generation import generate_candidates as stage

pytest.importorskip("openai", reason="the extra `openai` is not installed")

DIALOGUE = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Why?"},
    {"role": "assistant", "content": "Because."},
    {"role": "user", "content": "Why so?"},
]


# --- what is asked, and what comes of it ------------------------------------------------------


def test_a_chat_is_sent_as_it_is_with_all_settings(ask, loopback):
    prompt = Prompt("d", DIALOGUE)
    ((first, second),) = ask(
        prompts=[prompt], temperature=0.7, top_p=0.9, max_new_tokens=7, extra_body={"top_k": 3}
    )
    (request,) = loopback.asked
    seed = request.pop("seed")
    assert request == {
        "model": "m", "messages": DIALOGUE, "n": 2, "temperature": 0.7, "top_p": 0.9,
        "max_tokens": 7, "top_k": 3,
    }  # fmt: skip
    assert loopback.paths == {"/v1/chat/completions"}
    assert (first.text, second.text) == (f"{seed}/0", f"{seed}/1")  # by number, not as they came
    assert (first.finish_reason, first.writer) == ("stop", "m")
    assert first.token_ids is first.prompt_token_ids is first.logps is None


def test_a_completion_is_what_training_will_see_token_by_token(ask, loopback, tiny_model):
    ask(prompts=[Prompt("d", DIALOGUE)], model=tiny_model, endpoint="completions")
    assert loopback.asked[0]["prompt"] == prompt_token_ids(load_tokenizer(tiny_model), DIALOGUE)
    assert loopback.paths == {"/v1/completions"}


def test_without_a_model_a_completion_is_one_text(ask, loopback, prompts):
    ask(prompts=prompts[:1], endpoint="completions")
    assert loopback.asked[0]["prompt"] == "Question 0?"
    with pytest.raises(ConfigError, match=r"'Why so\?' has 4 messages.*`policy`.*'chat'"):
        ask(prompts=[Prompt("d", DIALOGUE)], endpoint="completions")


def test_seeds_belong_to_the_prompt_and_are_sent_if_wanted(ask, ask_texts, loopback, prompts):
    drawn = ask_texts()
    seeds = [request["seed"] for request in loopback.asked]
    assert len(set(seeds)) == len(prompts)
    assert ask_texts(seed=1) != drawn
    loopback.asked.clear()
    ask(seed=2, seeded=False, length_field="max_completion_tokens")
    assert not any("seed" in request or "max_tokens" in request for request in loopback.asked)
    assert {request["max_completion_tokens"] for request in loopback.asked} == {256}


def test_what_is_null_is_not_sent(ask, loopback):
    ask(top_p=None, temperature=0.7)
    ask(temperature=None, top_p=0.5, seed=1)
    sent = [{"temperature", "top_p"} & request.keys() for request in loopback.asked]
    assert sent == [{"temperature"}] * 3 + [{"top_p"}] * 3


def test_table_has_the_schema_of_every_generator(ask, loopback, write):
    loopback.behave = lambda request, time: (200, loopback.answer(request, reason="length"))
    prompts = from_file(0, path=str(write("p.jsonl", [{"prompt": "one"}, {"prompt": "two"}])))
    params = {"base_url": loopback.url, "model_name": "m"}
    config = GenerationConfig(generator="openai", n=3, params=params)
    table = check_table("candidates", generate_candidates(prompts, None, config, seed=0))
    assert table["sample"].to_list() == [0, 1, 2] * 2
    assert set(table["policy"]) == {"m"}
    assert set(table["finish_reason"]) == {"length"}


def test_settings_that_change_speed_only_are_not_in_the_key(loopback):
    def key(**params):
        params = {"base_url": "http://a/v1", "model_name": "m"} | params
        config = GenerationConfig(generator="openai", params=params)
        return stage.spec.key(stage.spec.inputs({"config": config}))

    speed = {
        "base_url": "http://b/v1", "api_key_env": "KEY", "concurrency": 2, "timeout_s": 1,
        "max_attempts": 2, "price_prompt": 1, "price_completion": 2,
    }  # fmt: skip
    assert key(**speed) == key()
    for change in ({"model_name": "o"}, {"top_p": 0.5}, {"extra_body": {"top_k": 2}}):
        assert key(**change) != key()


# --- servers that do not know n ---------------------------------------------------------------


def ignores_n(loopback):
    return lambda request, time: (200, loopback.answer(request | {"n": 1}))


def rejects_n(loopback):
    def behave(request, time):
        if "n" in request:
            return 400, {"error": {"message": "n must be 1"}}
        return 200, loopback.answer(request)

    return behave


@pytest.mark.parametrize("kind", [ignores_n, rejects_n])
def test_a_server_that_gives_one_at_a_time_is_asked_as_often_as_it_takes(ask_texts, loopback, kind):
    loopback.behave = kind(loopback)
    every = ask_texts(n=5, concurrency=2)
    assert [len(row) for row in every] == [5] * 3
    assert len({text for row in every for text in row}) == 15  # 15 seeds
    asked = len(loopback.asked)
    assert asked <= 15 + 2 * (kind is rejects_n)  # what was under way when it became known
    assert ask_texts(n=5) == every
    assert len(loopback.asked) == asked


def test_a_server_that_gives_some_is_asked_for_the_rest(ask_texts, loopback):
    def behave(request, time):
        return 200, loopback.answer(request | {"n": min(request.get("n", 1), 3)})

    loopback.behave = behave
    assert [len(set(row)) for row in ask_texts(n=8)] == [8] * 3
    assert sorted(request.get("n", 1) for request in loopback.asked) == [2] * 3 + [3] * 3 + [8] * 3


# --- keys and settings ------------------------------------------------------------------------


def test_key_comes_from_the_variable_that_is_named_and_from_no_other(ask, loopback, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-somebody-else")
    monkeypatch.setenv("MY_KEY", "mine")
    ask(api_key_env="MY_KEY")
    assert {headers["authorization"] for headers in loopback.headers} == {"Bearer mine"}
    loopback.headers.clear()
    ask(seed=1)
    assert {headers["authorization"] for headers in loopback.headers} == {"Bearer none"}

    monkeypatch.delenv("MY_KEY")
    with pytest.raises(ConfigError, match=r"variable MY_KEY, which.*is not set"):
        ask(seed=2, api_key_env="MY_KEY")


def test_what_the_environment_holds_for_openai_goes_to_no_other_server(ask, loopback, monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "theirs")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Secret: theirs\nnothing")
    ask()
    assert "theirs" not in str(loopback.headers)
    assert len(loopback.headers) == 3


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"api_key_env": "sk-proj-abc123"}, r"setting 'api_key_env': String should match"),
        ({"temperature": -1}, "'temperature'"),
        ({"endpoint": "chats"}, "'chat' or 'completions'"),
        ({"concurrency": 0}, "'concurrency'"),
    ],
    ids=str,
)
def test_bad_settings_are_told_without_a_key(params, message):
    params = {"base_url": "http://a/v1", "model_name": "m"} | params
    with pytest.raises(ValueError, match=message) as caught:
        GenerationConfig(generator="openai", params=params)
    assert "abc123" not in str(caught.value)


def test_address_and_extra_fields_are_checked(ask):
    for url in ("localhost:8000", "ftp://a/v1", "http://me:sesame@a/v1"):
        with pytest.raises(ConfigError, match="base_url") as caught:
            ask(base_url=url)
        assert "sesame" not in str(caught.value)
    with pytest.raises(ConfigError, match="extra_body` has n, temperature, which prefopt sends"):
        ask(extra_body={"temperature": 1, "n": 2, "top_k": 1})


def test_library_that_is_missing_is_named_with_its_extra(ask, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'prefopt-flows\[openai\]'"):
        ask()


def test_it_works_where_an_event_loop_is_running(ask):
    async def notebook():
        return ask()

    assert [len(row) for row in asyncio.run(notebook())] == [2] * 3
