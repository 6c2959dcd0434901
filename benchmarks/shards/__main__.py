"""`python -m benchmarks.shards`; the stage is in a module that workers can import by its name."""

from benchmarks.shards.cost import main

main()
