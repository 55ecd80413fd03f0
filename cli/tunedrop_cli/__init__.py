"""The `tunedrop` command: a stack's datasets, runs and models from a terminal."""
