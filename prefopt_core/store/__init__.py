"""Caching: content-addressed objects, a manifest per result, stages and their cache keys."""
