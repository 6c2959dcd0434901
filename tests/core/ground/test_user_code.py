"""What a user's function consists of, read and not run; and how it is loaded from that."""

import hashlib
import json
import os
import sys
import threading

import pytest

from prefopt_core.ground import user_code
from prefopt_core.ground.errors import ConfigError, UserCodeError, in_words_of
from prefopt_core.ground.functions import check_call, load_function
from prefopt_core.ground.loopback import spare_loopback
from prefopt_core.ground.registry import Registry
from prefopt_core.ground.user_code import content_of, files_of, is_installed
from prefopt_core.ground.user_errors import blaming

CALLED = "def score(prompt, response):\n    return POINTS\n"


def test_a_function_in_one_file_is_that_files_digest(write):
    path = write("judge.py", "import json, numpy\n" + CALLED)
    assert content_of(f"{path}:score") == hashlib.sha256(path.read_bytes()).hexdigest()
    assert content_of("helpdesk") is None
    assert content_of(f"{path.parent}/absent.py:score") is None


@pytest.mark.slow
def test_installed_packages_count_by_their_version_and_pythons_own_not_at_all():
    assert content_of("numpy:mean").startswith("numpy 2.")
    assert content_of("json:dumps") is None
    assert content_of("prefopt_core.worlds.helpdesk.oracle:score") != content_of("numpy:mean")


WAYS = {
    "import": "import {0}\nPOINTS = {0}.POINTS\n",
    "from": "from {0} import POINTS\n",
    "star": "from {0} import *\n",
    "as": "import {0} as x\nPOINTS = x.POINTS\n",
    "importlib": "import importlib\nPOINTS = importlib.import_module('{0}').POINTS\n",
    "import_module": "from importlib import import_module\nPOINTS = import_module('{0}').POINTS\n",
    "__import__": "POINTS = __import__('{0}').POINTS\n",
    "if": "if True:\n    from {0} import POINTS\n",
    "try": "try:\n    from .{0} import POINTS\nexcept ImportError:\n    from {0} import POINTS\n",
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_import_a_neighbour_is_followed_and_reloaded(write, way):
    judge = write("judge.py", WAYS[way].format("neighbour") + CALLED)
    neighbour, found = judge.parent / "neighbour.py", []
    for points in (1, 2):
        neighbour.write_text(f"POINTS = {points}\n")
        assert files_of(str(judge)) == {"": judge, "neighbour": neighbour}
        found.append((load_function(f"{judge}:score")("p", "r"), content_of(f"{judge}:score")))
    assert [score for score, _ in found] == [1, 2]
    assert found[0][1] != found[1][1]
    assert "neighbour" not in sys.modules


def test_a_module_of_the_working_folder_is_loaded_anew_after_an_edit(write, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_package").mkdir()
    write(
        "own_package/judge.py", "from own_package import scale\n" + CALLED.replace("P", "scale.P")
    )
    for points in (1, 2):
        write("own_package/scale.py", f"POINTS = {points}\n")
        assert load_function("own_package.judge:score")("p", "r") == points
    assert files_of("own_package.judge").keys() == {"own_package.judge", "own_package.scale"}


def test_state_of_a_judge_is_made_anew_and_what_its_neighbours_loaded_is_kept(write):
    """As ever: a judge that draws gives the same for a stage, whatever was judged before."""
    body = "N.append(0)\n    neighbour.N.append(0)\n    return len(N), len(neighbour.N)\n"
    code = f"import neighbour\nN = []\n\ndef score(prompt, response):\n    {body}"
    judge = write("judge.py", code)
    write("neighbour.py", "N = []\n")
    first, second = (load_function(f"{judge}:score") for _ in range(2))
    assert [first("p", "r"), first("p", "r"), second("p", "r")] == [(1, 1), (2, 2), (1, 3)]


def test_a_path_that_the_code_adds_is_there_when_it_is_called_and_nowhere_else(write, tmp_path):
    (tmp_path / "libs" / "thing-1.0.dist-info").mkdir(parents=True)
    write("libs/thing_of_libs.py", "POINTS = 5\n")
    late = "def score(prompt, response):\n    from thing_of_libs import POINTS\n    return POINTS\n"
    judge = write("judge.py", f"import sys\nsys.path.append({str(tmp_path / 'libs')!r})\n{late}")
    before = list(sys.path)
    function = load_function(f"{judge}:score")
    assert [function("p", "r"), function("p", "r")] == [5, 5]
    assert sys.path == before


def test_a_module_that_the_process_has_by_the_same_name_is_left_alone(write, monkeypatch):
    mine = type(sys)("neighbour")
    monkeypatch.setitem(sys.modules, "neighbour", mine)
    judge = write("judge.py", "from neighbour import POINTS\n" + CALLED)
    write("neighbour.py", "POINTS = 3\n")
    path = list(sys.path)
    assert load_function(f"{judge}:score")("p", "r") == 3
    assert sys.modules["neighbour"] is mine
    assert sys.path == path


def test_functions_in_several_threads_each_have_their_own_neighbours(write, tmp_path):
    late = "def score(prompt, response):\n    from neighbour import POINTS\n    return POINTS\n"
    paths = []
    for name in "abcd":
        (tmp_path / name).mkdir()
        paths.append(write(f"{name}/judge.py", late))
        write(f"{name}/neighbour.py", f"POINTS = '{name}'\n")
    wrong = []

    def ask(path):
        for _ in range(200):
            if (got := load_function(f"{path}:score")("p", "r")) != path.parent.name:
                wrong.append((path, got))

    threads = [threading.Thread(target=ask, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    "line",
    [
        "import importlib\nimportlib.import_module(NAME)\n",
        "__import__(NAME)\n",
        "import runpy\nrunpy.run_path('x.py')\n",
        "import importlib.util as u\nu.spec_from_file_location('x', 'x.py')\n",
    ],
)
def test_imports_that_cannot_be_read_are_refused(write, line):
    path = write("judge.py", f"NAME = 'x'\n{line}{CALLED}")
    with pytest.raises(ConfigError, match=r"judge\.py, line 3|line 2.*cannot be known by reading"):
        content_of(f"{path}:score")


def test_what_only_looks_like_an_import_is_none(write):
    path = write(
        "judge.py", f"def ask(register, name):\n    register.import_module(name)\n{CALLED}"
    )
    assert files_of(str(path)) == {"": path}


def test_code_of_the_hub_is_no_code_of_the_users(write, tmp_path):
    """A model with code of its own is imported from where HF_HOME says, which is on the path."""
    (tmp_path / "hub" / "transformers_modules").mkdir(parents=True)
    write("hub/transformers_modules/__init__.py", "POINTS = 5\n")
    late = "def score(prompt, response):\n    from transformers_modules import POINTS\n"
    path = write(
        "judge.py",
        f"import sys\nsys.path.append({str(tmp_path / 'hub')!r})\n{late}    return POINTS\n",
    )
    assert load_function(f"{path}:score")("p", "r") == 5


def test_what_installed_packages_import_is_no_code_of_the_judges(write, monkeypatch, tmp_path):
    """Though it lies in a folder of somebody's, as of `pip install --editable`."""
    for folder in ("libs/uses_it-1.0.dist-info", "libs/it-0.1.dist-info", "src"):
        (tmp_path / folder).mkdir(parents=True)
    write("libs/uses_it.py", "from it_in_the_making import POINTS\n")
    write("src/it_in_the_making.py", "POINTS = 5\n")
    for folder in ("libs", "src"):
        monkeypatch.syspath_prepend(tmp_path / folder)
    judge = write("judge.py", "from uses_it import POINTS\n" + CALLED)
    user_code._editable.cache_clear()
    with pytest.raises(ConfigError, match="found only by running it"):
        load_function(f"{judge}:score")
    origin = {"url": (tmp_path / "src").as_uri(), "dir_info": {"editable": True}}
    write("libs/it-0.1.dist-info/direct_url.json", json.dumps(origin))
    user_code._editable.cache_clear()
    for module in ("uses_it", "it_in_the_making"):
        sys.modules.pop(module, None)
    assert load_function(f"{judge}:score")("p", "r") == 5
    assert files_of(str(judge)) == {"": judge}
    user_code._editable.cache_clear()


SHAPES = {
    "one too few": ("def score(response): return 1", "takes .response.; it is called with"),
    "keywords": (
        "def score(*, prompt, response): return 1",
        "it is called with .prompt, response.",
    ),
    "async": ("async def score(prompt, response): return 1", "is `async def`"),
    "generator": ("def score(prompt, response): yield 1", "has `yield`"),
}


@pytest.mark.parametrize(("code", "message"), SHAPES.values(), ids=SHAPES)
def test_a_function_that_cannot_be_called_is_told_before_it_is(write, code, message):
    path = f"{write('judge.py', code)}:score"
    with pytest.raises(ConfigError, match=message):
        check_call(load_function(path), path, "prompt", "response")


def test_errors_at_loading_have_the_line_too(write):
    path = write("judge.py", "import json\nPOINTS = json.loads('{')\n")
    with pytest.raises(
        UserCodeError, match=r"JSONDecodeError: .*judge\.py, line 2: `POINTS = json"
    ):
        load_function(f"{path}:score")


def test_what_another_package_yields_passes_as_it_comes_and_its_errors_are_told():
    def annotate(questions):
        yield 1
        raise ValueError("no more")

    values = blaming(annotate, "The annotator 'x' of judges 1.0")(["a", "b"])
    assert next(values) == 1
    with pytest.raises(UserCodeError, match=r"'x' of judges 1\.0 raised ValueError: no more \("):
        next(values)


def test_files_below_installed_packages_are_told_from_the_users(tmp_path):
    (tmp_path / "libs" / "thing-1.0.dist-info").mkdir(parents=True)
    assert is_installed(tmp_path / "libs" / "thing.py")  # as by pip install --target
    assert is_installed(tmp_path / "site-packages" / "thing.py")
    assert not is_installed(tmp_path / "thing.py")


def test_settings_are_named_as_they_were_typed():
    with (
        pytest.raises(ConfigError, match=r"^Lower `--k` or raise the number\.$"),
        in_words_of({"selection.k": "--k", "n": "the number"}),
    ):
        raise ConfigError("Lower `selection.k` or raise `n`.")
    with (
        pytest.raises(ConfigError, match=r"^Set `--names 'a b' --names c`, or `--as` to one\.$"),
        in_words_of({"names": "--names", "as": "--as"}),
    ):
        raise ConfigError("Set `names: [a b, c]` beside `path`, or `as`, beside `path`, to one.")


@pytest.mark.parametrize(
    ("said", "typed"),
    [
        ("Name them, beside `path`: `of: [gpt-4o, a b]`.", "Name them: `--of gpt-4o --of 'a b'`."),
        ("Or `of: […]` beside `path`.", "Or `--of …`."),
        ("Set `of: text` if so.", "Set `--of text` if so."),
        ("Set `of`, beside `path`, to it.", "Set `--of` to it."),
    ],
)
def test_lines_of_yaml_are_named_as_options(said, typed):
    with pytest.raises(ConfigError) as raised, in_words_of({"of": "--of"}):
        raise ConfigError(said)
    assert str(raised.value) == typed


def test_this_machine_is_spared_by_a_proxy_only_if_there_is_one(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    spare_loopback()
    assert "no_proxy" not in os.environ
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", "example.org, localhost")
    monkeypatch.setenv("no_proxy", "")
    spare_loopback()
    assert os.environ["no_proxy"] == "example.org,localhost,127.0.0.1,::1"


def test_companions_of_another_packages_members_are_asked_and_blamed(monkeypatch):
    registry = Registry("judge", {"own": f"{__name__}:member"})
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or type(sys)(__name__))
    for name, function in (("member", member), ("check_member", check_member)):
        monkeypatch.setattr(sys.modules[__name__], name, function, raising=False)
    assert list(registry.check("own", {"size": 1, "other": 2})) == ["1 is small"]
    with pytest.raises(ZeroDivisionError):
        list(registry.check("own", {"size": 0}))
    monkeypatch.setattr(Registry, "package", lambda self, name: "judges 1.0")
    with pytest.raises(UserCodeError, match=r"The judge 'own' of judges 1\.0 raised Zero"):
        list(registry.check("own", {"size": 0}))


def member(*, size, other=1):
    """A member."""


def check_member(*, size):
    """Its companion, which wants one of its settings."""
    yield f"{1 // size} is small"
