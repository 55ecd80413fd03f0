"""The README keeps up with the template and the code."""

from docs import flow


def test_the_flow_and_the_permissions_are_drawn_from_the_template() -> None:
    readme = flow.README.read_text()

    assert flow.rendered(readme) == readme, "run `python -m docs.flow`"


def test_every_function_stands_in_the_picture() -> None:
    picture = flow.flow()

    assert all(name in picture for name in flow.functions())
