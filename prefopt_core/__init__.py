"""Preference optimisation from few labels: algorithms, tables, the store; no orchestrator."""
