"""What the terminal shows of models."""

from collections.abc import Iterable, Iterator

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tunedrop.domain.jumpstart import HyperparameterSpec, JumpStartModel
from tunedrop.domain.offer import Offer

_COLUMNS = ("Model", "Size", "Family", "Licence", "Techniques", "Instance", "USD/h", "Bedrock", "Converse", "Allowed")


def print_models(terminal: Console, offers: Iterable[Offer], *, policy_known: bool) -> None:
    """Print models, one a row; in a terminal that is too narrow for rows, a paragraph each."""
    rows = [_row(each, policy_known=policy_known) for each in offers]
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in _COLUMNS:
        table.add_column(name, no_wrap=True, justify="right" if name == "USD/h" else "left")
    for row in rows:
        table.add_row(*row)
    needed = terminal.measure(table, options=terminal.options.update(max_width=_WIDEST)).maximum
    if not terminal.is_terminal:
        # Whoever reads a pipe reads lines, however long.
        terminal.width = max(terminal.width, needed)
    if needed <= terminal.width:
        terminal.print(table, soft_wrap=False)
        return
    for model_id, *facts in rows:
        told = "; ".join(f"{name}: {value}" for name, value in zip(_COLUMNS[1:], facts, strict=True))
        terminal.print(model_id)
        terminal.print(Padding(Text(told), (0, 0, 0, 2)), soft_wrap=False)


_WIDEST = 1000
"""Characters that a row may have: more than any has."""


def _row(offer: Offer, *, policy_known: bool) -> tuple[str, ...]:
    return (
        offer.model_id,
        _size(offer.parameters),
        offer.family or "-",
        f"{offer.licence or 'not told'}{' (EULA)' if offer.gated else ''}",
        ", ".join(offer.techniques) or "none",
        offer.default_instance_type or ("serverless" if offer.trainer == "serverless" else "-"),
        "?" if offer.usd_per_hour is None else f"{offer.usd_per_hour:.2f}",
        offer.bedrock_imports,
        offer.converse,
        _allowed(offer, policy_known=policy_known),
    )


def model_details(model: JumpStartModel, offer: Offer, *, policy_known: bool) -> RenderableType:
    """Show one model in full."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _facts(model, offer, policy_known=policy_known):
        table.add_row(name, value)
    if not model.hyperparameters:
        return table
    return Group(table, Text(""), _hyperparameters(each for each in model.hyperparameters if not each.container))


def _facts(model: JumpStartModel, offer: Offer, *, policy_known: bool) -> Iterator[tuple[str, str]]:
    yield "model", f"{model.model_id} {model.version}{' (deprecated)' if model.deprecated else ''}"
    yield "provider", model.provider or "not told by JumpStart"
    yield "licence", model.licence or "not told by JumpStart"
    if model.gated:
        yield "EULA", f"{model.eula_uri or 'gated'}; read it, then write `accept_eula: true` into tune.yaml"
    yield "size", f"{_size(offer.parameters)} parameters" if offer.parameters else "not told by the id"
    yield "techniques", ", ".join(offer.techniques) or f"none: {offer.untunable}"
    if offer.trainer == "serverless":
        yield "trained by", "SageMaker's serverless customisation, billed by tokens"
    for number, each in enumerate(model.instance_types):
        yield "" if number else "instance types", f"{each}{' (default)' if each == offer.default_instance_type else ''}"
    if offer.default_instance_type:
        price = f"{offer.usd_per_hour:g} USD an hour: {offer.price_source}" if offer.usd_per_hour else "not known"
        yield "price", price
    yield "Bedrock imports", offer.bedrock_imports
    yield "Converse calls", offer.converse
    yield from (("", note) for note in offer.import_notes)
    yield "allowed", _allowed(offer, policy_known=policy_known)
    yield from (("", str(problem)) for problem in offer.refused)
    if model.vulnerabilities:
        yield "vulnerabilities", f"{len(model.vulnerabilities)} known in the training script"
    for family, defaults in model.instance_defaults.items():
        changed = {name: value for name, value in defaults.items() if model.defaults.get(name, value) != value}
        if changed:
            yield f"on {family}", ", ".join(f"{name}={value}" for name, value in changed.items())


def _hyperparameters(specs: Iterable[HyperparameterSpec]) -> Table:
    table = Table("Hyperparameter", "Type", "Default", "Allowed", box=None, pad_edge=False, header_style="dim")
    for each in specs:
        table.add_row(each.name, each.type, each.default, _bounds(each))
    return table


def _bounds(spec: HyperparameterSpec) -> str:
    if spec.options:
        return " | ".join(spec.options)
    unit = " characters" if spec.type == "text" else ""
    bounds = (
        (">=", spec.minimum),
        (">", spec.exclusive_minimum),
        ("<=", spec.maximum),
        ("<", spec.exclusive_maximum),
    )
    return ", ".join(f"{sign} {bound:g}{unit}" for sign, bound in bounds if bound is not None) or "any"


def _allowed(offer: Offer, *, policy_known: bool) -> str:
    if not policy_known:
        return "?"
    if not offer.refused:
        return "yes"
    return "no: " + ", ".join(each.code.removeprefix("policy.") for each in offer.refused)


def _size(parameters: int | None) -> str:
    if parameters is None:
        return "-"
    billions = parameters / 10**9
    return f"{billions:.3g}B" if billions >= 1 else f"{parameters / 10**6:.3g}M"
