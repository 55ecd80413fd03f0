"""Pages, and what draws their parts from the code."""
