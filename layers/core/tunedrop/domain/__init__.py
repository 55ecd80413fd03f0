"""What Tunedrop knows: pure code on the standard library and pydantic, without AWS."""
