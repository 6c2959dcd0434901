"""Servers with an OpenAI-compatible API: requests, retries, and what was paid for."""
