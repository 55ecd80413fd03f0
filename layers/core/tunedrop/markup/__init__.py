"""Pages of HTML: one style sheet, and elements whose text is always escaped."""
