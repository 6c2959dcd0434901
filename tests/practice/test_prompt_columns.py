"""What belongs to a prompt.

Columns beside the prompt's own, which were dropped without a word.
"""

import pytest

from prefopt_core.inputs.prompts import from_file

PAIRS = [["Hi", "Hello!"], ["Who are you?", "A model."]]


def case(situation, rows, before, expected, reports="tried here", **settings):
    mark = pytest.mark.case(situation, reports=reports, before=before, expected=expected)
    return pytest.param(rows, settings, marks=mark, id=situation)


@pytest.mark.parametrize(
    ("rows", "settings"),
    [
        case(
            "Alpaca: `input` beside `instruction`",
            [{"instruction": "Translate.", "input": "Rot", "output": "red"}],
            "user: Translate.", "user: Translate.\nRot", "hiyouga/LlamaFactory#6509",
        ),
        case(
            "Alpaca: an empty `input`, and self-instruct's <noinput>",
            [{"instruction": "Sing.", "input": ""}, {"instruction": "Hum.", "input": "<noinput>"}],
            "right", "user: Sing. / user: Hum.",
        ),
        case(
            "Alpaca by pandas: a missing `input` that became the text nan",
            [{"instruction": "Sing.", "input": "nan"}], "right",
            "refused: …'input' is the text 'nan'; a prompt would have it, but it may stand for…",
        ),
        case(
            "LLaMA-Factory: empty lists as text",
            [{"instruction": "Sing.", "input": "", "history": "[]", "tools": "[]"}], "right",
            "user: Sing.",
        ),
        case(
            "A `history` beside a prompt of several messages",
            [{"history": PAIRS, "prompt": [
                {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"},
            ]}],
            "the history was dropped", "refused: …expected the turns before a prompt of one text…",
        ),
        case(
            "Dolly: `context` beside `instruction`",
            [{"instruction": "When?", "context": "It began in 1999.", "response": "1999"}],
            "user: When?", "user: When?\nIt began in 1999.",
        ),
        case(
            "`input` beside `prompt`", [{"prompt": "Translate.", "input": "Rot"}],
            "user: Translate.", "refused: …does 'input' belong to the prompt?…",
        ),
        case(
            "The same, `column: prompt` set", [{"prompt": "Translate.", "input": "Rot"}],
            "right", "user: Translate.", column="prompt",
        ),
        case(
            "Orca: a column `system`",
            [{"system": "Be brief.", "question": "Why?", "chosen": "So.", "rejected": "Well …"}],
            "user: Why?", "system: Be brief. · user: Why?", column="question",
        ),
        case(
            "A column `system`, and another system message in the prompt",
            [{
                "system": "Be brief.",
                "prompt": [
                    {"role": "system", "content": "Be long."}, {"role": "user", "content": "Why?"}
                ],
            }],
            "system: Be long. · user: Why?",
            "refused: …begins with a system message, and a column has another: 'Be brief.'…",
        ),
        case(
            "LLaMA-Factory: `history` before the instruction",
            [{"instruction": "Why?", "input": "", "history": PAIRS}], "user: Why?",
            "user: Hi · assistant: Hello! · user: Who are you? · assistant: A model. · user: Why?",
            "hiyouga/LlamaFactory#4683",
        ),
        case(
            "Tools that the model may call, beside the prompt",
            [{"prompt": "How warm is it?", "tools": [{"name": "weather"}]}],
            "user: How warm is it?", "refused: …has 'tools', which nothing here could hand on…",
        ),
        case(
            "An image beside the prompt", [{"prompt": "What is it?", "images": ["cat.png"]}],
            "user: What is it?", "refused: …has 'images', which nothing here could hand on…",
        ),
        case(
            "A `history` of another form", [{"prompt": "Why?", "history": "Hi / Hello!"}],
            "user: Why?", "refused: …'history' is 'Hi / Hello!'; expected the turns before…",
        ),
        case(
            "`prompt` and another `instruction`",
            [{"prompt": "### Instruction:\nSing.", "instruction": "Sing."}],
            "user: ### Instruction:\nSing.",
            "refused: …has a 'prompt' and another 'instruction'. Set `column`…",
        ),
        case(
            "A file of pairs, its `chosen` named as the prompt",
            [{"chosen": "Fine.", "rejected": "No."}], "user: Fine.",
            "refused: …'chosen' holds responses…cannot be the prompt's column…", column="chosen",
        ),
        case(
            "Ids, topics, scores and lists beside the prompt",
            [{"id": 3, "prompt": "Why?", "topic": "x", "score": 0.5, "tags": ["a"], "": 0}],
            "right", "user: Why?",
        ),
    ],
)  # fmt: skip
def test_what_belongs_to_a_prompt(write, rows, settings):
    table = from_file(0, path=str(write("prompts.jsonl", rows)), **settings)
    return " / ".join(
        " · ".join(f"{m['role']}: {m['content']}" for m in messages)
        for messages in table["prompt"].to_list()
    )
