"""Evaluation of a round: metrics with intervals, diagnostics, early stopping."""
