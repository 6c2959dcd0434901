"""Language models: start policies, loading, tokenizers, vLLM in its own process, paid servers."""
