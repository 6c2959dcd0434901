"""The verbs of the `prefopt` command, a module or two functions each."""
