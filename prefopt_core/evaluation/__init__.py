"""Evaluation: what one round was like, from tables to figures with intervals."""
