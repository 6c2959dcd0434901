"""Bench worlds: prompts, start models and oracles of our own. Nothing imports them by name."""
