"""The help desk: a small world with a known best answer, for tests, benchmarks and first runs."""
