"""How answers are measured and compared: metrics, paired statistics, tables. Nothing here knows AWS or a run."""
