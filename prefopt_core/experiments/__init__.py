"""Experiments: what a run can be told, where its settings come from, grids of runs compared."""
