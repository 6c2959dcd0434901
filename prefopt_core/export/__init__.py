"""Export: preference pairs, policies and selected rows as files for other tools."""
