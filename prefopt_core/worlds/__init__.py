"""Bench worlds: prompts, start models and oracles of our own. Registries name them."""
