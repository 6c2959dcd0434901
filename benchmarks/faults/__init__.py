"""Faults while the loop runs, and what is left of it afterwards, see `__main__`."""
