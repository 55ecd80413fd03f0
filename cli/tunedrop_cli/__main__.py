"""Where the command begins: the application takes a moment to import, and Ctrl-C may come meanwhile."""

import sys

INTERRUPTED = 130
"""What a shell reports of a program that Ctrl-C ended: 128 + SIGINT."""


def start() -> None:
    """Run the command; raises SystemExit with its status."""
    try:
        from tunedrop_cli.main import app  # noqa: PLC0415 - see above

        app()
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        raise SystemExit(INTERRUPTED) from None


if __name__ == "__main__":
    start()
