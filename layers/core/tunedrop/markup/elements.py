"""Elements of a page: no script, nothing fetched, readable on a phone, on paper and by ear.

Text becomes `Html` through `text` alone, and elements take nothing but `Html`: what is not escaped is a type error.
"""

import html
from collections.abc import Iterable
from typing import NewType

from tunedrop.domain.words import Fact, visible
from tunedrop.markup.style import STYLE

Html = NewType("Html", str)

NOTHING = Html("")
_VOID = frozenset({"meta"})


def document(title: str, *, eyebrow: str, heading: str, subject: str, main: Iterable[Html], footer: str) -> str:
    """Return a whole page as text; its `main` has a section with the id `verdict`."""
    head = join(
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content="default-src 'none'; style-src 'unsafe-inline'"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", text(title)),
        element("style", Html(STYLE)),
    )
    body = join(
        element("a", text("Skip to the verdict"), class_="skip", href="#verdict"),
        element(
            "header",
            element("p", text(eyebrow), class_="eyebrow"),
            element("h1", data(heading)),
            element("p", text(subject), class_="soft"),
        ),
        element("main", *main),
        element("footer", element("p", text(footer))),
    )
    return f"<!doctype html>\n{element('html', element('head', head), element('body', body), lang='en')}\n"


def section(name: str, heading: str, *parts: Html) -> Html:
    """Write a part of the page under a heading; `name` is its id."""
    return element("section", element("h2", text(heading), id=name), *parts, aria_labelledby=name)


def paragraph(words: str, class_: str = "") -> Html:
    """Write a sentence or two."""
    return element("p", data(words), **({"class_": class_} if class_ else {}))


def folded(summary: str, *parts: Html) -> Html:
    """Write what is seen when it is asked for."""
    return element("details", element("summary", text(summary)), *parts)


def fact_list(facts: Iterable[Fact]) -> Html:
    """List names and what is known of them."""
    return element("dl", *(join(element("dt", text(name)), element("dd", data(value))) for name, value in facts))


def data_table(name: str, caption: str, head: Html, body: Iterable[Html]) -> Html:
    """Write a table; one that is wider than the screen scrolls by itself, and tabindex lets the keyboard do it."""
    written = element(
        "table",
        element("caption", text(caption)),
        element("thead", head),
        element("tbody", *body),
        class_=name,
    )
    return element("div", written, class_="scroll", role="region", tabindex="0", aria_label=caption)


def column(words: str) -> Html:
    """Head a column of words."""
    return element("th", text(words), scope="col")


def number_column(words: str) -> Html:
    """Head a column of numbers."""
    return element("th", text(words), scope="col", class_="n")


def row_head(words: str, *, code: bool = False) -> Html:
    """Head a row with a text of a user's, or with a name of a program's."""
    return element("th", element("code", data(words)) if code else data(words), scope="row")


def number_cell(words: str) -> Html:
    """Write a number in a table."""
    return element("td", text(words), class_="n")


def data(words: str) -> Html:
    """Set text of a user's apart from the page's, so that Arabic in a label does not turn the line around."""
    return element("bdi", text(words))


def text(words: str) -> Html:
    """Escape a text, and make all of it visible: the one way from text to HTML."""
    return Html(html.escape(visible(words)))


def block(words: str) -> Html:
    """Set a longer text of a user's as it is, line by line."""
    lines = words.expandtabs(4).split("\n")
    return element("p", element("bdi", Html("\n".join(text(each) for each in lines))), class_="block")


def join(*parts: Html) -> Html:
    """Put parts one after the other."""
    return Html("".join(parts))


def element(tag: str, *children: Html, **attributes: str) -> Html:
    """Write an element; `class_` and `aria_label` name attributes that are no names in Python."""
    named = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(visible(value))}"' for name, value in attributes.items()
    )
    return Html(f"<{tag}{named}>" if tag in _VOID else f"<{tag}{named}>{''.join(children)}</{tag}>")
