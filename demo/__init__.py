"""The main job, for real, on the embedded AWS."""
