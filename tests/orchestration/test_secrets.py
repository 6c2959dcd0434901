"""A planted key is found nowhere: not in the store, in Prefect's database, nor on the terminal."""

import pytest

pytest.importorskip("openai", reason="the extra `openai` is not installed")

KEY = "sk-planted-Zq7Yt42Lm9"
SEEN = [KEY, KEY[::-1], KEY.encode().hex()]


def traces(folder):
    """The files under a folder in which a form of the key stands."""
    forms = [form.encode() for form in SEEN]
    files = [file for file in folder.rglob("*") if file.is_file()]
    return [file.name for file in files if any(form in file.read_bytes() for form in forms)]


@pytest.fixture
def judged(given_candidates, loopback, config_file, monkeypatch):
    """The config of a run whose judge needs the key, for whoever answers at the address."""
    monkeypatch.setenv("A_KEY", f"{KEY}\n")
    params = {"base_url": loopback.url, "model_name": "j", "max_attempts": 2, "concurrency": 1}
    params["api_key_env"] = "A_KEY"
    annotation = {"annotator": "llm-judge", "params": params}
    return config_file(given_candidates | {"annotation": annotation, "budget": 4})


def echoes(status):
    """A server that says the key, in every form, in the place of an answer."""
    said = f"You sent {' '.join(SEEN)}"
    return lambda request, time: (status, {"error": {"message": said}, "detail": said})


def better(request):
    """The judge's verdict, whatever the order: the text that comes later in the alphabet."""
    shown = [x for x in request["messages"][-1]["content"].splitlines() if "Answer" in x]
    return '{"better": "%s"}' % ("A" if shown[0] > shown[1] else "B")


@pytest.mark.parametrize("server_of_its_own", [pytest.param(True, marks=pytest.mark.slow), False])
def test_a_key_leaves_no_trace(prefopt, judged, loopback, store, server_of_its_own):
    arguments = ["run", judged, "--traceback"] + ["--no-server"] * (not server_of_its_own)
    shown = []
    behaviours = [
        echoes(401),
        echoes(500),
        echoes(200),
        lambda request, time: (200, loopback.answer(request, texts=[f"It is {KEY}."])),
        lambda request, time: (302, b"", {"Location": f"http://127.0.0.1:9/{KEY}"}, 0),
    ]
    for behave in behaviours[: 1 if server_of_its_own else None]:  # one takes seconds to start
        loopback.behave = behave
        code, *told = prefopt(*arguments)
        assert code != 0
        shown += told
    loopback.behave = lambda request, time: (200, loopback.answer(request, texts=[better(request)]))
    code, *told = prefopt(*arguments)
    assert code == 0, told
    shown += told
    shown += prefopt("runs")[1:] + prefopt("labels", "show")[1:] + prefopt("cache", "ls")[1:]
    assert not any(form in text for form in SEEN for text in shown)
    assert {"labels.sqlite", "responses.sqlite"} <= {file.name for file in store.root.iterdir()}
    assert (store.root / "prefect" / "prefect.db").exists() == server_of_its_own
    assert traces(store.root) == []
    (store.root / "planted").write_text(KEY)  # what would be found is found
    assert traces(store.root) == ["planted"]


def test_a_secret_in_a_config_is_refused_before_anything_keeps_it(prefopt, judged, store):
    for change in (
        f"annotation.params.extra_body={{api_key: {KEY}}}",
        f"annotation.params.base_url=http://me:{KEY}@127.0.0.1:9/v1",
        f"annotation.params.base_url=http://127.0.0.1:9/v1?key={KEY}",
    ):
        code, *told = prefopt("run", judged, change, "--no-server")
        assert code == 2
        assert "api_key_env" in "".join(told)
        assert KEY not in "".join(told)
    assert traces(store.root) == []
