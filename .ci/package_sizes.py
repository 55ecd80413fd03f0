"""Check every function of a built template, with its layers, against Lambda's size limit, and print a table."""

import sys
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

LIMIT = 262_144_000
"""Bytes of a function and its layers, unzipped: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html."""


def main(template_path: Path) -> int:
    """Print the sizes; return 1 when a function is too large."""
    template = yaml_parse(template_path.read_text())
    resources: dict[str, Any] = template["Resources"]
    shared = template.get("Globals", {}).get("Function", {}).get("Layers", [])
    layers = {
        name: template_path.parent / each["Properties"]["ContentUri"]
        for name, each in resources.items()
        if each["Type"] == "AWS::Serverless::LayerVersion"
    }
    sizes = {name: _size(folder) for name, folder in layers.items()}
    print(f"{'layer':<26}{'MB':>8}  compiled")
    for name, folder in layers.items():
        print(f"{name:<26}{sizes[name] / 1e6:>8.1f}  {'yes' if any(folder.rglob('*.pyc')) else 'no: slower starts'}")
    print(f"\n{'function and its layers':<26}{'MB':>8}{'of limit':>10}")
    worst = 0
    for name, each in resources.items():
        if each["Type"] != "AWS::Serverless::Function":
            continue
        code = _size(template_path.parent / each["Properties"]["CodeUri"])
        total = code + sum(sizes[layer["Ref"]] for layer in (*shared, *each["Properties"].get("Layers", [])))
        worst = max(worst, total)
        print(f"{name:<26}{total / 1e6:>8.1f}{total / LIMIT:>10.0%}")
    if worst > LIMIT:
        print(f"\nLambda takes at most {LIMIT:,} bytes; the largest function has {worst:,}.", file=sys.stderr)
        return 1
    return 0


def _size(folder: Path) -> int:
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
