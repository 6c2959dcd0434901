"""Keys are named by their variable, refused elsewhere, and masked where a server echoes one."""

import base64

import pytest

from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.ground.errors import ConfigError
from prefopt_core.models.server.probing import probed
from prefopt_core.models.server.secrets import key_in, masked

KEY = "sk-planted/Zq7+Yt42"
FORMS = {
    "as it is": KEY,
    "reversed": KEY[::-1],
    "in capitals": KEY.upper(),
    "all but its ends": KEY[3:-3],
    "in base64": base64.b64encode(f"Bearer {KEY}".encode()).decode(),
    "in hex": KEY.encode().hex(),
    "percent-encoded": "sk-planted%2FZq7%2BYt42",
    "twice": f"{KEY} {KEY}",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_an_echo_of_a_key_is_masked(form):
    told = masked(f"Wrong key: '{form}'! Try another.", KEY)
    assert told.startswith("Wrong key: '")
    assert told.endswith("'! Try another.")
    longest = max(map(len, told.replace("Wrong key: ", "").split("…")))
    assert "…" in told
    assert longest <= len("xx=='! Try another.")


def test_what_has_no_key_in_it_is_left_alone():
    text = "The model sk-pl… does not exist. ……"
    assert masked(text, KEY) == text
    assert masked(text, "") == text


@pytest.mark.parametrize(
    "key", ["first-key-1\nsecond-key-2", "one-part second-part", "schlüssel-7"]
)
def test_a_key_that_cannot_be_sent_is_refused_without_showing_it(key, monkeypatch):
    monkeypatch.setenv("A_KEY", f"  {key}\n")
    for use in (lambda: key_in("A_KEY"), lambda: list(probed("http://127.0.0.1:9", "m", "A_KEY"))):
        with pytest.raises(ConfigError, match=r"A_KEY has a .* so it cannot be sent") as caught:
            use()
        assert not any(part in str(caught.value) for part in key.split())
        assert caught.value.__cause__ is None


BODIES = [
    {"api_key": KEY},
    {"user": {"apiKey": KEY}},
    {"headers": {"Authorization": f"Bearer {KEY}"}},
    {"x-api-key": "a"},
    {"tools": [{"client_secret": "a"}]},
    {"note": "the key is sk-0123456789abcdefgh"},
]
HARMLESS = [
    {"prompt_cache_key": "mine", "stop_token_ids": [3], "eos_token": "</s>", "top_k": 4},
    {"guided_json": {"properties": {"password": {"type": "string"}}, "required": ["password"]}},
    {"api_key": None, "min_tokens": 3},
]


@pytest.mark.parametrize("kind", ["generator", "annotator"])
def test_a_secret_in_a_config_is_refused_without_showing_it(kind):
    def config(**params):
        params = {"base_url": "http://a/v1", "model_name": "m"} | params
        if kind == "generator":
            return GenerationConfig(generator="openai", params=params)
        return AnnotationConfig(annotator="llm-judge", params=params)

    for body in BODIES:
        with pytest.raises(ValueError, match=r"'extra_body'.* looks like a secret\.") as caught:
            config(extra_body=body)
        assert "planted" not in str(caught.value)
        assert "0123456789" not in str(caught.value)
    for address in ("http://me:planted@a/v1", "http://a/v1?api-key=planted", "http://planted@a"):
        with pytest.raises(ValueError, match=r"'base_url'.* `api_key_env`") as caught:
            config(base_url=address)
        assert "planted" not in str(caught.value)
    for body in HARMLESS:
        assert config(extra_body=body).params["extra_body"] == body
    assert config(base_url="http://a/v1?api-version=2024")
