"""One module a command; `tunedrop_cli.main` registers them."""
