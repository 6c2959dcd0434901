"""Fuzzing of every reader: what strangers wrote is read or refused in words, see `__main__`."""
