"""A module that only the functions with this layer can import."""

WORDS = "hello from the layer"
