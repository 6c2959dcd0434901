"""The smallest settings of every flow."""

COMMON = {
    "policy": {"params": {"path": "model"}},
    "prompts": {"params": {"path": "p.jsonl"}},
    "rounds": [{"prompts": 3, "labels": 4}],
}
BOUGHT = {"annotation": {"annotator": "replay", "params": {"path": "r.csv"}}, "budget": 10}
FLOWS = {
    "align": COMMON | BOUGHT,
    "aepo": BOUGHT | {"generation": {"generator": "file", "params": {"path": "c.csv"}}},
    "spa": COMMON | {"rounds": [{"prompts": 3}], "seed_preferences": {"path": "s.jsonl"}},
}
