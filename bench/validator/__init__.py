"""Measure the dataset validator against the tools that people use today; `make bench-validator` runs it all."""
