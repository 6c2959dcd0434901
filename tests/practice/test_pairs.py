"""Files of preferences.

The forms in which pairs are published, and files that look like pairs and are none.
"""

import pytest

from prefopt_core.inputs.preferences import read_preferences
from prefopt_core.inputs.prompts import from_file


def user(text):
    return {"role": "user", "content": text}


def said(text):
    return {"role": "assistant", "content": text}


GOOD, BAD = [user("Hi"), said("Good.")], [user("Hi"), said("Bad.")]
HH = {
    "chosen": "\n\nHuman: Hi\n\nAssistant: Ho\n\nHuman: Why?\n\nAssistant: So.",
    "rejected": "\n\nHuman: Hi\n\nAssistant: Ho\n\nHuman: Why?\n\nAssistant: No.",
}
HH_SAID = "user: Hi · assistant: Ho · user: Why? → So. > No."
CALL = [user("Hi"), said("") | {"tool_calls": [{"name": "f"}]}]


def case(situation, row, before, expected, reports="tried here", **settings):
    mark = pytest.mark.case(situation, reports=reports, before=before, expected=expected)
    return pytest.param(row, settings, marks=mark, id=situation)


@pytest.mark.parametrize(
    ("row", "settings"),
    [
        case(
            "TRL, explicit prompt, messages",
            {"prompt": GOOD[:1], "chosen": GOOD[1:], "rejected": BAD[1:]}, "right",
            "user: Hi → Good. > Bad.", "–",
        ),
        case(
            "TRL, implicit prompt: whole conversations", {"chosen": GOOD, "rejected": BAD},
            "refused: set `column` to the one with the prompt", "user: Hi → Good. > Bad.",
        ),
        case(
            "UltraFeedback binarized: the prompt as text, and again in both",
            {
                "prompt": "Hi", "prompt_id": "a1", "chosen": GOOD, "rejected": BAD,
                "messages": GOOD, "score_chosen": 9.0,
            },
            "refused", "user: Hi → Good. > Bad.", "hiyouga/LlamaFactory#3066",
        ),
        case(
            "The same, another prompt than in the conversations",
            {"prompt": "Ho", "chosen": GOOD, "rejected": BAD}, "refused",
            "refused: …begin with 'Hi', which is not the prompt 'Ho'…",
        ),
        case(
            "A system message in the conversations alone",
            {
                "prompt": "Hi",
                "chosen": [{"role": "system", "content": "Be good."}, *GOOD],
                "rejected": [{"role": "system", "content": "Be good."}, *BAD],
            },
            "refused", "system: Be good. · user: Hi → Good. > Bad.",
        ),
        case(
            "Conversations that part before the last message",
            {
                "chosen": [*GOOD, user("More?"), said("Yes.")],
                "rejected": [*BAD, user("More?"), said("No.")],
            },
            "refused", "refused: …differ before their last message, in message 2…",
            "axolotl-ai-cloud/axolotl#1645",
        ),
        case(
            "A prompt of several turns, answers as texts",
            {"prompt": [*GOOD, user("More?")], "chosen": "Yes.", "rejected": "No."}, "right",
            "user: Hi · assistant: Good. · user: More? → Yes. > No.",
            "axolotl-ai-cloud/axolotl#1645",
        ),
        case(
            "Whole texts that share their beginning, TRL's implicit prompt without messages",
            {"chosen": "Hi? Good.", "rejected": "Hi? Bad."},
            "refused: set `column` to the one with the prompt",
            "refused: …pairs without a prompt of their own…Write it as `prompt`…",
            "unslothai/unsloth#112",
        ),
        case(
            "`chosen` goes on with a further turn of the user",
            {"prompt": "Hi", "chosen": [*GOOD, user("More?"), said("Yes.")], "rejected": BAD},
            "refused", "refused: …differ before their last message…",
        ),
        case(
            "Conversations of several turns that share all but the last",
            {"chosen": [*GOOD, user("More?"), said("Yes.")],
             "rejected": [*GOOD, user("More?"), said("No.")]},
            "refused: set `column` to the one with the prompt",
            "user: Hi · assistant: Good. · user: More? → Yes. > No.", "hiyouga/LlamaFactory#3354",
        ),
        case(
            "Pairs of `prefopt export` that a policy judged itself",
            {
                "prompt": "Hi", "chosen": "Good.", "rejected": "Bad.", "source": "self",
                "annotator": "policy", "confidence": 0.6, "margin": 0.4, "round": 2,
            },
            "read as gold labels with confidence 1",
            "refused: …a policy judged this pair itself ('source' is 'self')…",
        ),
        case(
            "Several chosen for one prompt",
            {"prompt": "Hi", "chosen": ["Good.", "Fine."], "rejected": ["Bad."]}, "refused",
            "refused: …'chosen' is \"['Good.', 'Fine.']\"; expected a text or a list of…",
            "hiyouga/LlamaFactory#6509",
        ),
        case(
            "A chosen call of a tool", {"chosen": CALL, "rejected": BAD}, "refused",
            "refused: …'chosen' is …message 2 carries 'tool_calls'…",
        ),
        case(
            "HH-RLHF: dialogues as text", HH, "refused: set `column` to the one with the prompt",
            HH_SAID, "huggingface/trl#1858",
        ),
        case(
            "The same, `column: chosen`, as was advised", HH,
            "the whole dialogue was prompt and chosen response",
            "refused: …'chosen' holds responses, or conversations…", "huggingface/trl#1858",
            column="chosen",
        ),
        case(
            "HH-RLHF, dialogues that part early",
            HH | {"rejected": "\n\nHuman: Hi\n\nAssistant: What?"}, "refused: set `column` …",
            "refused: …differ before their last message…",
        ),
        case(
            "HH-RLHF, an empty answer", HH | {"rejected": HH["chosen"][:-4]},
            "refused: set `column` …",
            "refused: …'Human:' and 'Assistant:' take turns, and each says something…",
        ),
        case(
            "A prompt as HH's dialogue, answers as texts",
            {"prompt": "\n\nHuman: Hi\n\nAssistant:", "chosen": " Good.", "rejected": " Bad."},
            "user: \\n\\nHuman: Hi\\n\\nAssistant: → Good. > Bad.",
            "refused: …turns of a dialogue in one text, marked by 'Human:' and 'Assistant:'…",
        ),
        case(
            "Orca's pairs",
            {"system": "Be good.", "question": "Hi", "chosen": "Good.", "rejected": "Bad."},
            "refused", "refused: …no column 'prompt'…set `column: question`.",
        ),
        case(
            "The same, as told",
            {"system": "Be good.", "question": "Hi", "chosen": "Good.", "rejected": "Bad."},
            "the system message was dropped", "system: Be good. · user: Hi → Good. > Bad.",
            column="question",
        ),
        case(
            "LLaMA-Factory's ranking in ShareGPT's form",
            {
                "conversations": [{"from": "human", "value": "Hi"}],
                "chosen": {"from": "gpt", "value": "Good."},
                "rejected": {"from": "gpt", "value": "Bad."},
            },
            "refused", "user: Hi → Good. > Bad.", column="conversations",
        ),
        case(
            "KTO", {"prompt": "Hi", "completion": "Good.", "label": True},
            "refused: 'chosen' is 'None'…Fill it in",
            "refused: …no column 'chosen' and 'rejected' among…This looks like KTO's rows…",
        ),
        case(
            "Nectar", {"prompt": "Hi", "answers": [{"answer": "Good.", "rank": 1}]},
            "refused: 'chosen' is 'None'…", "refused: …This looks like Nectar: ranked…",
            "hiyouga/LlamaFactory#2527",
        ),
        case(
            "UltraFeedback", {"instruction": "Hi", "completions": [{"response": "Good."}]},
            "refused: 'chosen' is 'None'…", "refused: …looks like UltraFeedback with its scored…",
        ),
        case(
            "HelpSteer", {"prompt": "Hi", "response": "Good.", "helpfulness": 4},
            "refused: 'chosen' is 'None'…", "refused: …looks like HelpSteer. It has scores…",
        ),
        case(
            "A blank behind the prompt, and none in the conversations",
            {"prompt": "Hi ", "chosen": GOOD, "rejected": BAD},
            "refused", "user: Hi → Good. > Bad.",
        ),
        case(
            "HelpSteer3", {"context": GOOD[:1], "response1": "a", "response2": "b"},
            "refused: Set `column`, beside `path`…", "refused: …looks like HelpSteer3…",
        ),
        case(
            "SHP", {"history": "Hi", "human_ref_A": "a", "human_ref_B": "b", "labels": 1},
            "refused: Set `column`, beside `path`…", "refused: …looks like SHP: set `column: hist…",
        ),
    ],
)  # fmt: skip
def test_pairs(write, row, settings):
    path = write("seed.jsonl", [row])
    (pair,) = read_preferences(path, **settings).iter_rows(named=True)
    prompt, chosen, rejected = (
        " · ".join(f"{m['role']}: {m['content']}" for m in pair[side])
        for side in ("prompt", "chosen", "rejected")
    )
    return f"{prompt} → {chosen[11:]} > {rejected[11:]}"


@pytest.mark.parametrize(
    ("row", "settings"),
    [
        case("Prompts of HH-RLHF", HH, "refused: set `column` …", "Hi · Ho · Why?"),
        case(
            "Prompts of pairs with an implicit prompt", {"chosen": GOOD, "rejected": BAD},
            "refused: set `column` …", "Hi",
        ),
        case(
            "Prompts of UltraFeedback binarized", {"prompt": "Hi", "chosen": GOOD, "rejected": BAD},
            "right", "Hi", "–",
        ),
        case(
            "Prompts of HelpSteer2 with several turns",
            {"prompt": "Hi\n<extra_id_1>Assistant\nHo\n<extra_id_1>User\nWhy?", "response": "So."},
            "one message with the marks in it", "refused: …one text, marked by '<extra_id_1>'…",
        ),
        case(
            "Prompts of HelpSteer3", {"context": GOOD[:1], "response1": "a"}, "right", "Hi", "–",
            column="context",
        ),
        case(
            "Prompts of ShareGPT, unnamed", {"conversations": [{"from": "human", "value": "Hi"}]},
            "refused: Set `column`…", "refused: …set `column: conversations` if each ends…",
        ),
    ],
)  # fmt: skip
def test_prompts_of_pairs(write, row, settings):
    (messages,) = from_file(0, path=str(write("p.jsonl", [row])), **settings)["prompt"].to_list()
    return " · ".join(m["content"] for m in messages)
