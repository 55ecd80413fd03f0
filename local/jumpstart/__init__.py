"""JumpStart on one computer: two small models, their specs, and the script that tunes them."""
