"""Well-known files by their columns: what they are, and how they are told to prefopt."""

from collections.abc import Iterable

_PAIRS = "For pairs, write the better one as `chosen` and the other as `rejected`"
_SCORES = (
    "It has scores, no pairs. As candidates and their labels: `generation: { generator: file }` "
    "and `annotation: { annotator: replay, params: { score: … } }`"
)
_KNOWN: tuple[tuple[set[str], str], ...] = (
    (
        {"prompt", "completion", "label"},
        "KTO's rows: one response and a verdict each, no pairs. As candidates of a generator "
        "`file`: `responses: [completion]`",
    ),
    (
        {"instruction", "completions"},
        f"UltraFeedback with its scored completions. {_SCORES} after writing one row a response",
    ),
    (
        {"prompt", "answers"},
        "Nectar: ranked `answers` to a prompt, no pairs. Write a list `responses`, or pairs by "
        "their `rank`",
    ),
    (
        {"context", "response1", "response2"},
        "HelpSteer3: set `column: context` for the prompt. For pairs, a negative "
        "`overall_preference` says that response1 is `chosen`",
    ),
    (
        {"prompt", "response_1", "response_2", "preference_strength"},
        "HelpSteer2's preferences: a negative `preference_strength` says that response_1 is "
        "better. Write it as `chosen` and the other as `rejected`",
    ),
    ({"prompt", "response", "helpfulness"}, f"HelpSteer. {_SCORES}"),
    (
        {"history", "human_ref_A", "human_ref_B"},
        "SHP: set `column: history` for the prompt. For pairs, `labels` 1 says that human_ref_A "
        "is `chosen`",
    ),
    (
        {"question", "response_j", "response_k"},
        "pairs of StackExchange: set `column: question`, and rename response_j to `chosen` and "
        "response_k to `rejected`",
    ),
    (
        {"response_0", "response_1", "better_response_id"},
        f"PKU-SafeRLHF. {_PAIRS}, by `better_response_id`",
    ),
    ({"response_a", "response_b"}, f"votes of an arena. {_PAIRS}; leave out ties"),
    (
        {"question", "chosen", "rejected"},
        "pairs with a question, as Orca's: set `column: question`",
    ),
    ({"input", "chosen", "rejected"}, "pairs with an input: set `column: input`"),
    (
        {"conversations"},
        "ShareGPT's conversations: set `column: conversations` if each ends with the user's turn; "
        "else write what comes before the answer as `prompt`",
    ),
    (
        {"messages"},
        "whole conversations: set `column: messages` if each ends with the user's message; else "
        "write what comes before the answer as `prompt`",
    ),
    (
        {"chosen", "rejected"},
        "pairs without a prompt of their own; where it ends in a text nobody can tell. Write it "
        "as `prompt`, or as the beginning of both, as lists of {role, content}",
    ),
)


def known_as(columns: Iterable[str]) -> str:
    """What a file with these columns seems to be and what to do, as a sentence; "" if unknown.

    >>> known_as(["uid", "history", "human_ref_A", "human_ref_B"])[:39]
    'This looks like SHP: set `column: histo'
    """
    there = set(columns)
    found = next((words for names, words in _KNOWN if names <= there), "")
    return found and f"This looks like {found}."
