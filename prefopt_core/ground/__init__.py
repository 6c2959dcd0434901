"""Foundations of all other packages: errors, registries, settings, tables, ids, files, seeds."""
