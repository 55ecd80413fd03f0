"""Judge datasets: every row of every file, in one pass, in parts, on a folder or on S3; the report is always the same.

Data flows in one direction:

`sources` (bytes of a file) → `blocks` (cut at line ends) → `rows/` (one module a technique: accept fast, or say exactly
what is wrong) → `scan` (one range of one file → a `Partial`) → `partial` (merge) → `assess` (duplicates, lengths,
labels: what only the whole shows) → `report`. The package knows neither S3 nor a run: `steps.validate` and the command
bring sources and take the report.
"""
