"""A page as a strict reader sees it, for the tests of every page, and the texts that would break a careless one."""

from html.parser import HTMLParser

from hypothesis import strategies as st

HOSTILE = st.one_of(
    st.sampled_from(
        [
            "<script>alert(1)</script>",
            "</style><img src=x onerror=alert(1)>",
            '" onload="alert(1)',
            "' autofocus onfocus='x",
            "]]><!--",
            "&lt;b&gt;",
            "user\u202egnp.exe",
            "\u2066\u2069\u200f",
            "\ud800",
            "a\0b\x1b[31m",
            "javascript:alert(1)",
            "شكر",
        ]
    ),
    st.text(st.characters(exclude_categories=()), max_size=30),
)

ELEMENTS = {
    *("html", "head", "meta", "title", "style", "body", "a", "header", "main", "footer", "section", "h1", "h2", "h3"),
    *("h4", "p", "div", "span", "code", "bdi", "ul", "li", "dl", "dt", "dd", "details", "summary"),
    *("table", "caption", "thead", "tbody", "tr", "th", "td", "figure", "figcaption"),
    *("svg", "desc", "rect", "line", "polyline", "circle", "text"),
}

ATTRIBUTES = {
    *("lang", "charset", "http-equiv", "content", "name", "class", "id", "href", "role", "tabindex", "scope", "style"),
    *("aria-label", "aria-labelledby", "aria-hidden", "x", "y", "x1", "x2", "y1", "y2", "width", "height"),
    *("cx", "cy", "r", "points", "viewbox", "preserveaspectratio", "vector-effect", "text-anchor"),
}

UNSEEN = "[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069]"
"""A regex of characters that no page may hold: readers would not see them, or be misled."""


class Page(HTMLParser):
    """Read a page strictly: every element that is opened is closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.shown: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.shown.append(data)

    @property
    def text(self) -> str:
        return "\n".join(self.shown)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]
