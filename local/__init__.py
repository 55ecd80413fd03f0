"""The embedded AWS: the unmodified template, deployed on one computer."""
