"""How fast responses are written."""
