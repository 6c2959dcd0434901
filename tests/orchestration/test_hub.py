"""`prefopt export --push-to-hub`: by huggingface_hub itself, to a hub that is a stand-in."""

import io

import polars as pl
import pytest

from tests.hub import hub as stand_in


@pytest.fixture
def hub():
    with stand_in() as server:
        yield server


@pytest.fixture
def export(command, hub, finished, tmp_path):
    """Run `prefopt export` against the stand-in; returns (exit code, output)."""

    def export(*words, token=hub.token, endpoint=hub.url):
        process = command(
            *("export", tmp_path / "out", *words),
            HF_ENDPOINT=endpoint,
            HF_HOME=str(tmp_path / "hf"),
            HF_HUB_DISABLE_XET="1",  # the stand-in speaks LFS
            HF_HUB_DISABLE_TELEMETRY="1",
            HF_HUB_OFFLINE="0",  # nothing but the stand-in is asked
            HF_TOKEN=token,
            NO_PROXY="127.0.0.1",
        )
        output, _ = process.communicate(timeout=120)
        assert "hf_right" not in output
        return process.returncode, output

    return export


@pytest.mark.slow
def test_a_data_set_is_sent_and_is_private(export, hub, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    code, output = export("--push-to-hub", "me/pairs")
    assert code == 0, output
    assert f"sent to {hub.url}/datasets/me/pairs" in output
    assert hub.repos == {"datasets/me/pairs": True}
    sent = hub.files["datasets/me/pairs"]
    assert {*sent} == {"README.md", "train.parquet", "test.parquet"}
    for name, content in sent.items():
        assert content == (tmp_path / "out" / name).read_bytes()
    assert "pair_id" in pl.read_parquet(io.BytesIO(sent["train.parquet"])).columns

    code, output = export("--push-to-hub", "me/pairs", "--format", "jsonl")
    assert code == 0, output  # it is there already, and private
    assert "train.jsonl" in hub.files["datasets/me/pairs"]


@pytest.mark.slow
def test_a_policy_is_sent_as_a_model(export, hub):
    code, output = export("--policy", "--push-to-hub", "pol", "--public")
    assert code == 0, output
    assert hub.repos == {"models/me/pol": False}
    assert {"README.md", "config.json", "model.safetensors"} <= {*hub.files["models/me/pol"]}


@pytest.mark.slow
def test_nothing_is_sent_to_what_everybody_can_read_unless_that_is_meant(export, hub):
    hub.repos["datasets/me/open"] = False
    code, output = export("--push-to-hub", "me/open")
    assert code == 2
    assert "everybody can read it; nothing was sent. Add --public" in output
    assert not hub.files


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "token", "said"),
    [
        (["--push-to-hub", "a/b/c"], "hf_right", "Write NAME or OWNER/NAME."),
        (["--push-to-hub", "a/b--c"], "hf_right", "Write NAME or OWNER/NAME."),
        (["--push-to-hub", "me/pairs"], "", "needs your token: `hf auth login`, or set HF_TOKEN"),
        (["--public"], "hf_right", "--public is about --push-to-hub"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_anything_is_written(
    export, hub, tmp_path, words, token, said
):
    code, output = export(*words, token=token)
    assert code == 2
    assert said in output
    assert output.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert not hub.requests


@pytest.mark.slow
def test_a_hub_that_refuses_or_is_gone_leaves_the_export(export, hub, tmp_path, tools):
    code, output = export("--push-to-hub", "me/pairs", token="hf_wrong")
    assert code == 2
    assert "did not take me/pairs" in output
    assert "--repo-type dataset --private` sends it" in output
    assert "Traceback" not in output
    assert (tmp_path / "out" / "train.parquet").exists()
    gone = f"http://127.0.0.1:{tools.free_port()}"
    code, output = export("--push-to-hub", "me/pairs", endpoint=gone)
    assert code == 2
    assert f"The hub at {gone} did not take me/pairs" in output
    assert "hf_wrong" not in output
