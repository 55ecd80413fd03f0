"""Write the findings into docs/troubleshooting.md, in the validator's own words: ``python -m docs.troubleshooting``."""

from pathlib import Path

from tunedrop.validation.findings import MEANINGS

PAGE = Path(__file__).with_suffix(".md")
HEAD = "| Code | What it heads | What to do |\n|---|---|---|\n"


def findings() -> str:
    """Return the table of the findings, which ends the page."""
    rows = (
        f"| `{code}` | {meaning.severity}: {meaning.title} | {meaning.fix.replace('|', chr(92) + '|')} |\n"
        for code, meaning in MEANINGS.items()
    )
    return HEAD + "".join(rows)


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(page[: page.index(HEAD)] + findings(), encoding="utf-8")
