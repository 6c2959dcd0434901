"""Export: preferences and policies for use elsewhere."""
