"""How fast selection is, over prompts and over pools, and how its cost grows."""
