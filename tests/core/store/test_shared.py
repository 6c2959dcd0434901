"""A store behind a URL, used by machines that have nothing else in common: here by their copies."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import polars as pl
import pytest

from prefopt_core.ground.errors import ConfigError, StoreError
from prefopt_core.store import maintenance
from prefopt_core.store.leases import leased
from prefopt_core.store.mirror import Mirror
from prefopt_core.store.remote import Remote, remote_at
from prefopt_core.store.running import fresh_folder
from prefopt_core.store.runs import Run, note, recorded, runs
from prefopt_core.store.stage import Stage
from prefopt_core.store.store import Store
from prefopt_core.store.transfer import pull, push
from tests.object_server import object_server

NUMBERS = count()
SCORES = pl.DataFrame({"candidate_id": ["a", "b"], "logps": [0.0, 1.0]})


@pytest.fixture
def url():
    """A place that nobody else knows."""
    return f"memory://{next(NUMBERS)}"


@pytest.fixture
def machine(tmp_path, url):
    """A store as another machine sees it: by name, new each time it is opened."""

    def machine(name):
        return Store(tmp_path / name, Mirror((tmp_path / name).resolve(), remote_at(url)))

    return machine


class Counted:
    """Stages that count how often they are computed, each with bytes of its own."""

    def __init__(self):
        self.computed = []
        self.score = Stage("score", self._score, 1, "logps")
        self.train = Stage("train", self._train, 1, None)

    def _score(self, seed):
        self.computed.append(seed)
        return pl.DataFrame({"candidate_id": ["a", "b"], "logps": [float(seed), time.time()]})

    def _train(self, seed):
        self.computed.append(seed)
        folder = fresh_folder("model")
        (folder / "weights").write_text(f"{seed} {time.time()}")
        (folder / "vocabulary").symlink_to(Path(__file__))
        return folder


@pytest.fixture
def stages():
    return Counted()


@pytest.fixture
def server(monkeypatch):
    with object_server() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


def names(url, folder=""):
    return sorted(remote_at(url).listed(folder))


def damaged(url, name):
    """The object of that name with a flipped byte."""
    content, _ = remote_at(url).read(name)
    remote_at(url).write(name, content[:-1] + bytes([content[-1] ^ 1]))


# --- two machines -------------------------------------------------------------------------------


def test_what_one_machine_computed_is_a_hit_on_another(machine, stages, url):
    table = stages.score.run(machine("a"), {"seed": 1}).value
    model = stages.train.run(machine("a"), {"seed": 2}).value
    other = machine("b")
    assert stages.score.run(other, {"seed": 1}).cached
    assert stages.train.run(other, {"seed": 2}).cached
    assert not list(other.root.glob("objects/*/*"))  # nothing is fetched before it is read
    assert other.read(table).equals(machine("a").read(table))
    fetched = other.open_folder(model)
    assert {p.name for p in fetched.iterdir()} == {"weights", "vocabulary"}
    assert not (fetched / "vocabulary").is_symlink()
    assert (fetched / "vocabulary").read_bytes() == Path(__file__).read_bytes()
    assert stages.computed == [1, 2]


def test_names_behind_the_url_are_those_of_a_folder(machine, stages, url, tmp_path):
    store = machine("a")
    stages.score.run(store, {"seed": 1})
    model = stages.train.run(store, {"seed": 2}).value
    for name in names(url):
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(remote_at(url).read(name)[0])
    folder = Store(tmp_path / "folder")
    assert stages.score.run(folder, {"seed": 1}).cached
    assert (folder.open_folder(model) / "weights").is_file()


def test_copy_that_is_deleted_costs_nothing_but_fetching(machine, stages):
    table = stages.score.run(machine("a"), {"seed": 1}).value
    frame = machine("a").read(table)
    machine("a").root.rename(machine("a").root.with_name("gone"))
    assert stages.score.run(machine("a"), {"seed": 1}).cached
    assert machine("a").read(table).equals(frame)


def test_index_and_lists_know_what_other_machines_made_and_forgot(machine, stages):
    here, there = machine("a"), machine("b")
    stages.score.run(here, {"seed": 1})
    assert [h.stage for h in maintenance.holdings(there)] == ["score"]
    stages.train.run(there, {"seed": 2})
    assert {m.stage for m in here.manifests()} == {"score", "train"}
    maintenance.remove(there, "score")
    assert [m.stage for m in here.manifests()] == ["train"]
    assert [h.stage for h in maintenance.holdings(here)] == ["train"]
    assert not stages.score.run(machine("a"), {"seed": 1}).cached


def test_refreshed_result_replaces_the_one_that_others_have(machine, stages):
    first = stages.score.run(machine("a"), {"seed": 1}).value
    second = stages.score.run(machine("b"), {"seed": 1}, refresh=True).value
    assert first != second
    found = stages.score.run(machine("a"), {"seed": 1})
    assert found.cached
    assert found.value == second


def test_record_of_a_run_is_seen_by_other_machines_as_it_is(machine):
    run = Run(name="mine", flow="align", settings="s", model="m", started=1.0)
    here, there = machine("a"), machine("b")
    with recorded(here, run):
        assert [r.state for r in runs(there)] == ["running"]
        note(here, "mine", labels=7)
        here.put_page("mine/report.html", "<p>new</p>")
    assert [(r.state, r.labels) for r in runs(there)] == [("completed", 7)]
    assert there.page("mine/report.html").read_text() == "<p>new</p>"
    assert not there.page("mine/other.html").exists()


def test_page_that_changed_within_a_second_and_kept_its_size_is_brought(
    server, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    store = Store.at("s3://bucket/pages")
    for text in (b"one", b"two"):
        server.objects["/bucket/pages/runs/mine/report.html"] = text, 1e9
        assert store.page("mine/report.html").read_bytes() == text


# --- races --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_of_16_machines_that_commit_different_bytes_all_return_the_first(machine, stages):
    for seed in range(20):
        stores = [machine(f"{seed}-{i}") for i in range(16)]
        for store in stores:
            store.claimed = lambda *_: threading.Lock()  # nothing that keeps them apart
        barrier = threading.Barrier(16)

        def commit(store, seed=seed, barrier=barrier):
            barrier.wait()
            return stages.score.run(store, {"seed": seed}).value

        with ThreadPoolExecutor(16) as pool:
            returned = {value.digest for value in pool.map(commit, stores)}
        assert len(returned) == 1
        assert machine("later").lookup(*_address(machine, "score"))[0].output.digest in returned
    assert len(stages.computed) > 20


def _address(machine, stage):
    newest = next(iter(sorted(machine("look").manifests(stage), key=lambda m: -m.created)))
    return stage, newest.key


def test_with_leases_a_result_is_computed_once(machine, stages):
    barrier = threading.Barrier(4)

    def slow(seed):
        time.sleep(0.2)
        return stages._score(seed)

    stage = Stage("score", slow, 1, "logps")

    def run(store):
        barrier.wait()
        return stage.run(store, {"seed": 1}).value.digest

    with ThreadPoolExecutor(4) as pool:
        digests = set(pool.map(run, [machine(str(i)) for i in range(4)]))
    assert len(digests) == len(stages.computed) == 1


def test_lease_of_a_dead_machine_is_taken_and_that_of_a_living_one_is_not(url):
    remote = remote_at(url)
    remote.create("leases/work", b"dead x")
    started = time.monotonic()
    with leased(remote, "work", "a", "work", lasts=0.6):
        assert time.monotonic() - started > 0.5
        taken = threading.Event()

        def take():
            with leased(remote, "work", "b", "work", lasts=0.6):
                taken.set()

        waiting = threading.Thread(target=take)
        waiting.start()
        assert not taken.wait(1.5)  # it is renewed
    assert taken.wait(5)
    waiting.join()
    assert names(url, "leases") == []


def test_what_a_killed_process_of_this_machine_held_is_taken_at_once(url):
    remote_at(url).create("leases/work", b"me x")
    started = time.monotonic()
    with leased(remote_at(url), "work", "me", "work"):
        assert time.monotonic() - started < 1


# --- damage -------------------------------------------------------------------------------------


def test_damage_behind_the_url_is_put_away_there_and_made_again(machine, stages, url):
    table = stages.score.run(machine("a"), {"seed": 1}).value
    (name,) = names(url, "objects")
    damaged(url, name)
    with pytest.raises(StoreError, match="was damaged and is now in quarantine/"):
        machine("b").read(table)
    assert len(names(url, "quarantine")) == 1
    again = stages.score.run(machine("b"), {"seed": 1})
    assert again.hits == 0
    assert machine("c").read(again.value).equals(machine("b").read(again.value))


@pytest.mark.parametrize("content", [b"", b"shorter", b"{}"])
def test_object_or_manifest_cut_short_behind_the_url_is_no_hit(machine, stages, url, content):
    stages.score.run(machine("a"), {"seed": 1})
    for folder in ("objects", "manifests"):
        (name,) = names(url, folder)
        remote_at(url).write(name, content)
        assert not stages.score.run(machine(folder), {"seed": 1}).cached
        assert stages.score.run(machine(f"{folder} again"), {"seed": 1}).cached


def test_result_whose_object_is_gone_is_replaced_by_one_that_is_whole(machine, stages, url):
    stages.score.run(machine("a"), {"seed": 1})
    remote_at(url).delete(names(url, "objects"))
    made = stages.score.run(machine("b"), {"seed": 1})
    assert made.hits == 0
    assert stages.score.run(machine("c"), {"seed": 1}).value == made.value


def test_damaged_copy_is_fetched_again(machine, stages):
    store = machine("a")
    table = stages.score.run(store, {"seed": 1}).value
    frame = store.read(table)
    store.shard_path(table.shards[0]).write_bytes(b"damaged")
    assert store.read(table).equals(frame)


def test_verify_reads_all_that_is_behind_the_url(machine, stages, url):
    stages.score.run(machine("a"), {"seed": 1})
    stages.train.run(machine("a"), {"seed": 2})
    assert [problem for _, problem in maintenance.verify(machine("b"))] == ["", ""]
    damaged(url, next(name for name in names(url, "objects") if name.endswith("weights")))
    problems = {entry.stage: problem for entry, problem in maintenance.verify(machine("b"))}
    assert problems["score"] == ""
    assert "was damaged and is now in quarantine/" in problems["train"]


# --- garbage ------------------------------------------------------------------------------------


def test_gc_goes_by_reach_and_age(machine, stages, url):
    store = machine("a")
    stages.train.run(store, {"seed": 1})
    kept = names(url, "objects")
    orphan = store.put_table("logps", stages._score(2))
    assert maintenance.collect_garbage(machine("b")) == (0, 0)
    assert maintenance.collect_garbage(machine("b"), older_than=-1, dry_run=True)[0] == 1
    assert len(names(url, "objects")) == len(kept) + 1
    assert maintenance.collect_garbage(machine("b"), older_than=-1) == (1, orphan.size)
    assert names(url, "objects") == kept
    assert names(url, "probe") == []
    assert stages.train.run(machine("c"), {"seed": 1}).cached


def test_gc_spares_what_was_written_again_since_it_was_listed(server, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    store = Store.at("s3://bucket/again")
    shards = [store.put_table("logps", SCORES.with_columns(logps=pl.lit(n))) for n in (0.0, 1.0)]
    for name, (content, modified) in server.objects.items():
        server.objects[name] = content, modified - 3600
    listed = store.mirror.remote.listed("objects")
    assert len(listed) == 2
    store.put_table("logps", SCORES.with_columns(logps=pl.lit(1.0)))
    store.mirror.sweep(listed)
    (left,) = store.mirror.remote.listed("objects")
    assert shards[1].sha256 in left


def test_gc_stops_at_a_manifest_that_it_cannot_read(machine, stages, url):
    stages.score.run(machine("a"), {"seed": 1})
    (name,) = names(url, "manifests")
    remote_at(url).write(name, b'{"format": 2}')
    with pytest.raises(StoreError, match="may be of a later prefopt"):
        maintenance.collect_garbage(machine("b"), older_than=-1)
    assert len(names(url, "objects")) == 1


def test_object_that_a_gc_takes_from_a_running_stage_costs_that_result_alone(machine, stages, url):
    """The worst case: a `gc` that spares nothing, between an object and its manifest."""

    def score(seed):
        frame = stages._score(seed)
        machine("a").put_table("logps", frame)
        maintenance.collect_garbage(machine("b"), older_than=-1)
        return frame

    made = Stage("score", score, 1, "logps").run(machine("a"), {"seed": 1}).value
    assert machine("c").read(made).height == 2


# --- push and pull ------------------------------------------------------------------------------


def test_pushed_and_pulled_store_holds_the_same(stages, url, tmp_path):
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    table = stages.score.run(here, {"seed": 1}).value
    model = stages.train.run(here, {"seed": 2}).value
    here.put_page("mine/report.html", "<p>page</p>")
    assert [(each.new, each.problem) for each in push(here, url)] == [(True, "")] * 2
    assert [each.new for each in push(here, url)] == [False] * 2
    assert [each.new for each in pull(there, url)] == [True] * 2
    assert [each.new for each in pull(there, url)] == [False] * 2
    assert there.read(table).equals(here.read(table))
    assert (there.open_folder(model) / "vocabulary").read_bytes() == Path(__file__).read_bytes()
    assert there.page("mine/report.html").read_text() == "<p>page</p>"
    files = {
        store: {
            p.relative_to(store.root): p.read_bytes()
            for folder in ("objects", "manifests", "runs")
            for p in (store.root / folder).rglob("*")
            if p.is_file()
        }
        for store in (here, there)
    }
    assert files[here] == files[there]
    assert len(stages.computed) == 2


def test_copy_that_is_broken_off_goes_on_from_there(stages, url, tmp_path, monkeypatch):
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    tables = [stages.score.run(here, {"seed": seed}).value for seed in range(5)]
    write, written = Remote.write, []

    def broken(self, name, source):
        written.append(name)
        if len(written) == 3:
            raise StoreError("the network is gone")
        write(self, name, source)

    with monkeypatch.context() as patch:
        patch.setattr(Remote, "write", broken)
        with pytest.raises(StoreError, match="network"):
            list(push(here, url))
        assert names(url, "manifests") == []
    before = len(names(url, "objects"))
    assert 0 < before < 5
    with monkeypatch.context() as patch:
        written = [None] * 9
        patch.setattr(Remote, "write", broken)
        assert sum(each.new for each in push(here, url)) == 5
    assert len(written) - 9 == 5 - before
    assert sum(each.new for each in pull(there, url)) == 5
    assert [there.check(table) for table in tables] == [""] * 5


def test_damaged_result_is_not_copied_and_is_named(stages, url, tmp_path):
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    _, bad = (stages.score.run(here, {"seed": seed}).value for seed in (1, 2))
    here.shard_path(bad.shards[0]).write_bytes(b"damaged")
    problems = [each.problem for each in push(here, url)]
    assert sorted(map(bool, problems)) == [False, True]
    assert len(names(url, "manifests")) == 1
    (name,) = names(url, "objects")
    damaged(url, name)
    (copied,) = pull(there, url)
    assert "was damaged and is now in quarantine/" in copied.problem
    assert not list(there.manifests())


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("ftp://host/folder", "ftp:// is no place for a store"),
        ("file:///folder", "file:// is no place for a store. Give a folder's path"),
        ("s3:///folder", "names a bucket"),
        ("s3://key:planted-secret@bucket/folder", "Credentials belong into the environment"),
        ("s3://bucket/folder?secret=planted-secret", "Credentials belong into the environment"),
    ],
)
def test_url_that_is_none_of_a_store_is_refused(url, told):
    with pytest.raises(ConfigError, match=told) as error:
        Store.at(url)
    assert "planted-secret" not in str(error.value)


def test_server_that_ignores_conditions_is_refused_before_anything_is_computed(
    server, stages, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    server.heeds = False
    store = Store.at("s3://faithless/folder")
    with pytest.raises(StoreError, match=r"ignores If-None-Match or If-Match"):
        stages.score.run(store, {"seed": 1})
    with pytest.raises(StoreError, match=r"ignores If-None-Match or If-Match"):
        list(push(Store(tmp_path / "local"), "s3://faithless/other"))
    assert stages.computed == []
    assert server.objects == {}


def test_refusal_of_a_server_is_one_line_without_secrets(server, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    server.refuses = {"GET", "HEAD", "PUT"}
    store = Store.at("s3://refusing/folder")
    with pytest.raises(StoreError, match=r"s3://refusing/folder cannot be .*: AccessDenied") as e:
        list(store.manifests())
    assert "planted-secret" not in str(e.value)
    assert "\n" not in str(e.value)
    assert e.value.__cause__ is None


def test_who_may_only_read_finds_and_reads(server, stages, tmp_path, monkeypatch):
    for name in ("a", "b"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
        server.refuses = {"PUT", "POST", "DELETE"} if name == "b" else set()
        outcome = stages.score.run(Store.at("s3://bucket/read"), {"seed": 1})
    assert outcome.cached
    assert Store.at("s3://bucket/read").read(outcome.value).height == 2
    assert Store.at("s3://bucket/read").root.is_relative_to(tmp_path / "b" / "prefopt")


def test_what_is_paid_for_needs_a_folder_that_is_kept(machine, monkeypatch, tmp_path):
    monkeypatch.delenv("PREFOPT_LABELS", raising=False)
    with pytest.raises(ConfigError, match="export PREFOPT_LABELS="):
        _ = machine("a").ledgers
    assert Store(tmp_path).ledgers == tmp_path
    monkeypatch.setenv("PREFOPT_LABELS", str(tmp_path / "kept"))
    assert machine("a").ledgers == Store(tmp_path).ledgers == tmp_path / "kept"


def test_key_that_leaves_the_store_is_not_copied(machine, url, tmp_path):
    remote_at(url).write("manifests/score/x.json", b"{}")
    machine("a").bring_manifests()
    assert os.listdir(machine("a").root / "manifests" / "score") == ["x.json"]
    assert list(machine("a").manifests()) == []
