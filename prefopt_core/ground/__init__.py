"""What everything stands on: errors, registries, settings, tables, ids, files, randomness."""
