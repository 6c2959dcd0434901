"""Language models: loading, tokenizers, adapters, vLLM engines, servers, the start policy."""
