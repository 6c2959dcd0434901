"""Caching: content-addressed objects, the manifest of each result, stages and their cache keys."""
