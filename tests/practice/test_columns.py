"""Columns of candidate files.

What is a response, and what only stands beside one.
"""

import pytest

from prefopt_core.ground.errors import PrefoptError
from prefopt_core.inputs.candidates import read_candidates

P = "Which colour?"
INDEXED = f",prompt,a,b\n0,{P},Red.,Blue.\n"
SCORED = f"prompt,completion_0,completion_1,score_0,score_1\n{P},Red.,Blue.,4,2\n"
ALPACA = "instruction,input,output,model\nTranslate.,Rot,Red.,gpt\nTranslate.,Rot,Blue.,llama\n"
NESTED = {
    "source": "evol",
    "instruction": P,
    "models": ["gpt", "llama"],
    "completions": [
        {"model": "gpt", "response": "Red.", "overall_score": 8.0},
        {"model": "llama", "response": "Blue.", "overall_score": 3.0},
    ],
}
HELPSTEER2 = {
    "prompt": P, "response_1": "Red.", "response_2": "Blue.", "preference_strength": -2,
    "preference_statement": "The first is better.",
}  # fmt: skip
ARENA = 'question_id,prompt,response_a,response_b\n7,Hi,"[""Red.""]","[""Blue.""]"\n'


def case(situation, name, content, before, expected, reports="tried here", **settings):
    mark = pytest.mark.case(situation, reports=reports, before=before, expected=expected)
    return pytest.param(name, content, settings, marks=mark, id=situation)


@pytest.mark.parametrize(
    ("name", "content", "settings"),
    [
        case(
            "A column `response`, a row a response", "pool.csv",
            f"prompt,response\n{P},Red.\n{P},Blue.\n", "right",
            "Which colour? → Red. | Blue.", "–",
        ),
        case(
            "A CSV that pandas wrote with its index, columns of any names", "pool.csv", INDEXED,
            "the index was a response: 0 | Red. | Blue.",
            "refused: …which columns are responses? 'a', 'b' could be (not '')…"
            "`responses: [a, b]`…",
            "huggingface/datasets#5490",
        ),
        case(
            "The same, with the responses declared", "pool.csv", INDEXED,
            "no such setting", "Which colour? → Red. | Blue.", "huggingface/datasets#5490",
            responses=["a", "b"],
        ),
        case(
            "An index beside columns that only a number tells apart", "pool.csv",
            f"Unnamed: 0,prompt,0,1\n0,{P},Red.,Blue.\n", "the index was a response",
            "Which colour? → Red. | Blue.", "huggingface/datasets#5490",
        ),
        case(
            "Responses of a category, a source and a model", "pool.csv",
            f"prompt,category,source,model,one,two\n{P},qa,web,gpt,Red.,Blue.\n",
            "qa, web and gpt were responses",
            "refused: …'category', 'source', 'one', 'two' could be (not 'model'), but nothing…",
        ),
        case(
            "Declared by a pattern", "pool.jsonl",
            [{"prompt": P, "model_a": "Red.", "model_b": "Blue.", "score": 3}],
            "no such setting", "Which colour? → Red. | Blue.", responses=["model_*"],
        ),
        case(
            "A declared column that is not there", "pool.csv", INDEXED, "no such setting",
            "refused: …no column 'c' with responses among '', 'a', 'b'. Set `responses`…",
            responses=["a", "c"],
        ),
        case(
            "Completions and their scores, side by side", "pool.csv", SCORED,
            "scores were responses: Red. | Blue. | 4 | 2", "Which colour? → Red. | Blue.",
        ),
        case(
            "Columns of numbers, named by numbers", "pool.csv", f"prompt,0,1\n{P},0.3,0.7\n",
            "0.3 | 0.7 were responses",
            "refused: …no columns of texts among '0', '1'…`responses: […]`…",
        ),
        case(
            "Columns named by years", "pool.csv", f"prompt,2019,2020\n{P},Red.,Blue.\n",
            "were responses", "refused: …'2019', '2020' could be, but nothing says so…",
        ),
        case(
            "Alpaca's columns", "pool.csv", ALPACA, "Rot and gpt were responses",
            "refused: …'output' could be (not 'model')…", "hiyouga/LlamaFactory#6509",
        ),
        case(
            "Alpaca's columns, `output` declared", "pool.csv", ALPACA, "no such setting",
            "Translate.\nRot → Red. | Blue.", "hiyouga/LlamaFactory#6509", responses=["output"],
        ),
        case(
            "`response` and `response_2`", "pool.csv",
            f"prompt,response,response_2\n{P},Red.,Blue.\n", "response_2 was dropped: Red.",
            "refused: …'response', 'response_2' could be…",
        ),
        case(
            "UltraFeedback: completions with scores", "pool.jsonl", [NESTED],
            "refused: the response 'evol' …", "Which colour? → Red. | Blue.",
        ),
        case(
            "HelpSteer2's preferences", "pool.jsonl", [HELPSTEER2],
            "refused: the response -2 …", "Which colour? → Red. | Blue.",
        ),
        case(
            "Votes of an arena: each answer the text of a list", "pool.csv", ARENA,
            '7 | ["Red."] | ["Blue."] were responses',
            "refused: …'response_a' is '[\"Red.\"]': every value of this column is of lists…",
        ),
        case(
            "A prompt's row without `response` among rows that have one", "pool.jsonl",
            [{"prompt": P, "response": "Red."}, {"prompt": P, "id": "x1"}],
            "x1 was a response", "refused: …line 2: the response of 'file' is empty…",
        ),
        case(
            "Columns of messages of the assistant", "pool.jsonl",
            [{"prompt": P, **{f"output_{i}": [{"role": "assistant", "content": text}]
                              for i, text in enumerate(["Red.", "Blue."])}}],
            "refused: the response [{'role': …", "Which colour? → Red. | Blue.",
        ),
        case(
            "Answers that are numbers, declared", "pool.csv", f"prompt,0,1\n{P},3,7\n",
            "right", "Which colour? → 3 | 7", responses=["0", "1"],
        ),
        case(
            "KTO's rows", "pool.jsonl",
            [{"prompt": P, "completion": "Red.", "label": True}],
            "refused: the response True …",
            "refused: …'completion' could be (not 'label')…`responses: [completion]`…",
        ),
    ],
)  # fmt: skip
def test_which_columns_are_responses(write, name, content, settings):
    declared = settings.get("responses")
    file = write(name, content)
    given = read_candidates(file, None, "error", declared)
    assert len(given) == 1
    return f"{_prompt(file)} → {' | '.join(g.text for g in next(iter(given.values())))}"


def _prompt(file):
    """The text of the only prompt."""
    from prefopt_core.inputs.prompts import from_file

    try:
        table = from_file(0, path=str(file), repeats="drop")
    except PrefoptError as error:
        return str(error)
    return table["prompt"][0][-1]["content"]
