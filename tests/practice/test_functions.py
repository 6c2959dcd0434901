"""Functions of the user's.

A judge, a similarity: which code is theirs, what they may return, and what is said when they raise.
"""

import pytest

from prefopt_core.annotation.settings import AnnotatorConfig
from prefopt_core.annotation.table import judge
from prefopt_core.selection.settings import SimilarityConfig


@pytest.fixture
def ask(asked, tmp_path):
    """The scores of a judge of these files; the first of them is asked, in its function `score`."""

    def ask(folder="", responses=("Red.",), **files):
        for name, text in files.items():
            path = tmp_path / folder / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        path = tmp_path / folder / "judge.py"
        config = AnnotatorConfig(annotator="function", params={"function": f"{path}:score"})
        found = judge(asked(*responses), config)["scores"].list.first().to_list()
        return config.key_part()["function_file"], found

    return ask


JUDGE = "from rubric import POINTS\n\ndef score(prompt, response):\n    return POINTS\n"


def before_and_after(ask, before, after):
    """Score, edit, score again in the same process: the scores, and whether the key is another."""
    old, new = ask(**before), ask(**after)
    return f"{old[1][0]:g}, then {new[1][0]:g}; {'another' if old[0] != new[0] else 'the same'} key"


@pytest.mark.case(
    "A neighbour of the judge's is edited: `from rubric import POINTS`",
    reports="huggingface/datasets#3297",
    before="1, then 1; the same key",
    expected="1, then -100; another key",
)
def test_a_neighbour(ask):
    return before_and_after(
        ask, {"judge": JUDGE, "rubric": "POINTS = 1\n"}, {"rubric": "POINTS = -100"}
    )


@pytest.mark.case(
    "A neighbour's neighbour is edited, of the same length and in the same second",
    reports="huggingface/datasets#6184",
    before="1, then 1; the same key",
    expected="1, then 2; another key",
)
def test_a_neighbours_neighbour(ask):
    files = {"judge": JUDGE, "rubric": "from scale import POINTS\n", "scale": "POINTS = 1\n"}
    return before_and_after(ask, files, {"scale": "POINTS = 2\n"})


@pytest.mark.case(
    "A module that is imported inside the function is edited",
    reports="tried here",
    before="ModuleNotFoundError; or the `rubric` of another judge",
    expected="1, then 2; another key",
)
def test_an_import_inside_the_function(ask):
    late = "def score(prompt, response):\n    from rubric import POINTS\n    return POINTS\n"
    return before_and_after(
        ask, {"judge": late, "rubric": "POINTS = 1\n"}, {"rubric": "POINTS = 2\n"}
    )


@pytest.mark.case(
    "A package beside the judge with imports relative to it; its deepest module is edited",
    reports="tried here",
    before="1, then 1; the same key",
    expected="1, then 2; another key",
)
def test_relative_imports_in_a_package(ask):
    files = {
        "judge": "from rules.words import POINTS\n\ndef score(prompt, response): return POINTS\n",
        "rules____init__": "",
        "rules__words": "from .deep import POINTS\n",
        "rules__deep": "POINTS = 1\n",
    }
    return before_and_after(ask, files, {"rules__deep": "POINTS = 2\n"})


@pytest.mark.case(
    '`importlib.import_module("rubric")`',
    reports="tried here",
    before="1, then 1; the same key",
    expected="1, then 2; another key",
)
def test_importlib_with_a_name(ask):
    head = 'import importlib\nPOINTS = importlib.import_module("rubric").POINTS\n'
    files = {
        "judge": head + "def score(prompt, response): return POINTS\n",
        "rubric": "POINTS = 1\n",
    }
    return before_and_after(ask, files, {"rubric": "POINTS = 2\n"})


@pytest.mark.case(
    "`importlib.import_module(name)`: which module, only running it can say",
    reports="tried here",
    before="1, then 1; the same key",
    expected="refused: judge.py, line 3: `importlib.import_module(NAME)` imports what cannot be k…",
)
def test_importlib_with_a_variable(ask):
    head = 'import importlib\nNAME = "rubric"\nPOINTS = importlib.import_module(NAME).POINTS\n'
    files = {
        "judge": head + "def score(prompt, response): return POINTS\n",
        "rubric": "POINTS = 1\n",
    }
    return before_and_after(ask, files, {"rubric": "POINTS = 2\n"})


@pytest.mark.case(
    "A package beside the judge finds its own modules while it runs",
    reports="tried here",
    before="1, then 1; the same key",
    expected="1, then 2; another key",
)
def test_a_package_that_imports_by_name(ask):
    files = {
        "judge": "from rules.find import get\n\ndef score(p, r): return get('words').POINTS\n",
        "rules__find": "from importlib import import_module\n"
        "def get(name): return import_module(f'rules.deep.{name}')\n",
        "rules__deep__words": "POINTS = 1\n",
    }
    return before_and_after(ask, files, {"rules__deep__words": "POINTS = 2\n"})


@pytest.mark.case(
    "The judge puts a folder of the user's on `sys.path` and imports from there",
    reports="tried here",
    before="1, then 1; the same key",
    expected="refused: judge.py imports shared/rubric.py, which was found only by running it…",
)
def test_a_folder_put_on_the_path(ask, tmp_path):
    head = f"import sys\nsys.path.append({str(tmp_path / 'shared')!r})\n"
    files = {"judge": head + JUDGE, "shared__rubric": "POINTS = 1\n"}
    return before_and_after(ask, files, {"shared__rubric": "POINTS = 2\n"})


@pytest.mark.case(
    "Two judges in two folders, each with a `rubric.py` of its own",
    reports="tried here",
    before="1 and 1",
    expected="1 and 7, and 1 again",
)
def test_two_neighbours_of_one_name(ask):
    first = ask("a", judge=JUDGE, rubric="POINTS = 1\n")[1][0]
    second = ask("b", judge=JUDGE, rubric="POINTS = 7\n")[1][0]
    return f"{first:g} and {second:g}, and {ask('a')[1][0]:g} again"


@pytest.mark.case(
    "`random.py` beside the judge, which imports `random`",
    reports="tried here",
    before="Python's own was taken without a word",
    expected="refused: random.py has the name of one of Python's own modules…Rename it.",
)
def test_a_neighbour_named_like_a_standard_module(ask):
    return str(ask(judge="import random\n\ndef score(p, r): return 1\n", random="X = 1\n"))


@pytest.mark.case(
    "A judge that raises",
    reports="tried here",
    before="a KeyError with 49 lines of traceback, without prompt and response",
    expected="refused: judge.py:score raised KeyError: 'Blue.' (judge.py, line 2: …), asked for "
    "the response 'Blue.' to the prompt 'Which colour?'. Mend the annotator and run the same…",
)
def test_a_judge_that_raises(ask):
    return str(
        ask(responses=["Blue."], judge="def score(prompt, response):\n    return {}[response]\n")
    )


@pytest.mark.case(
    "A judge that calls `exit()`",
    reports="tried here",
    before="the run ended without a word, exit code 0",
    expected="refused: judge.py:score raised SystemExit (judge.py, line 1:…",
)
def test_a_judge_that_exits(ask):
    return str(ask(judge="def score(prompt, response): raise SystemExit\n"))


@pytest.mark.case(
    "A neighbour of a similarity's is edited",
    reports="huggingface/datasets#3297",
    before="0.5, then 0.5; the same key",
    expected="0.5, then 0.9; another key",
)
def test_a_neighbour_of_a_similarity(write):
    code = "from scale import X\n\ndef alike(responses):\n    return [[1, X], [X, 1]]\n"
    path, found, keys = write("alike.py", code), [], set()
    for value in (0.5, 0.9):
        write("scale.py", f"X = {value}\n")
        config = SimilarityConfig(measure="function", params={"function": f"{path}:alike"})
        found.append(float(config.member()(["a", "b"], None)[0, 1]))
        keys.add(config.key_part()["function_file"])
    return f"{found[0]}, then {found[1]}; {'another' if len(keys) == 2 else 'the same'} key"


@pytest.mark.case(
    "A similarity that raises",
    reports="tried here",
    before="a ZeroDivisionError with its traceback",
    expected="refused: alike.py:alike raised ZeroDivisionError: division by zero (alike.py, line…",
)
def test_a_similarity_that_raises(write):
    path = write("alike.py", "def alike(responses):\n    return 1 / 0\n")
    params = {"function": f"{path}:alike"}
    compare = SimilarityConfig(measure="function", params=params).member()
    return str(compare(["a", "b"], None))


GIVEN = {
    "A judge that gives `\"4\"`": (
        '"4"',
        "4.0",
        "refused: Annotator 'function' gave '4', which is a text: return float('4'). That was…",
    ),
    "A judge that gives `True`": ("True", "1.0", "refused: …gave True, which is no score: return…"),
    "A judge that gives NumPy's True": (
        "np.bool_(True)", "1.0", "refused: …gave np.True_, which is no score: return 1.0…"
    ),
    "A judge that gives a list": (
        "[1, 2]", "refused: no finite number", "refused: …[1, 2], which is a list: return one numb…"
    ),
    "A judge that gives a dict": (
        "{'score': 1}", "refused: no finite number", "refused: …a dict: return one of its numbers…"
    ),
    "A judge that gives NaN": (
        "np.float32('nan')", "refused: no finite number", "refused: …nan): return None where there…"
    ),
    "A judge that is a generator": (
        "(yield)", "refused: no finite number", "refused: …a generator, as of a function with…"
    ),
    "A judge that gives a whole number beyond all floats": (
        "10**400", "an OverflowError with its traceback", "refused: …an int: return a number…"
    ),
    "A judge that gives NumPy's integer, of 8 bits": ("np.int8(4)", "right", "4.0"),
    "A judge that gives a NumPy array without dimensions": ("np.array(4.5)", "right", "4.5"),
    "A judge that gives a Decimal": ("Decimal('4.25')", "right", "4.25"),
    "A judge that gives a Fraction": ("Fraction(1, 4)", "right", "0.25"),
}  # fmt: skip


def _given(situation):
    value, before, expected = GIVEN[situation]

    @pytest.mark.case(situation, reports="tried here", before=before, expected=expected)
    def test(ask):
        head = "from decimal import Decimal\nfrom fractions import Fraction\nimport numpy as np\n"
        return str(ask(judge=f"{head}def score(prompt, response): return {value}\n")[1][0])

    return test


for _number, _situation in enumerate(GIVEN):
    globals()[f"test_given_{_number}"] = _given(_situation)


@pytest.mark.case(
    "A judge that is `async def`",
    reports="verl-project/verl#5076",
    before="refused: …gave <coroutine object score at …>; expected a finite number",
    expected="refused: …gave a coroutine, as the function is `async def`: let a plain function…",
)
def test_a_coroutine(ask):
    return str(ask(judge="async def score(prompt, response): return 1\n"))
