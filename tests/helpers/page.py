"""What a reader of HTML sees of a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Page:
    """Texts of the parts of a page."""

    caption: str = ""
    header: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    above: list[str] = field(default_factory=list)
    below: list[str] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)

    def lines(self) -> list[str]:
        """Header and rows, words alone."""
        return [" ".join(" ".join(row).split()) for row in (self.header, *self.rows)]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page, self.open, self.text = Page(), list[str](), ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.page.tags.add(tag)
        self.open.append(tag)
        self.text = ""
        if tag == "tr" and "tbody" in self.open:
            self.page.rows.append([])

    def handle_data(self, data: str) -> None:
        assert self.open, f"text outside of the page: {data}"
        self.text += data

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "figcaption":
            self.page.caption = self.text
        elif tag == "th":
            self.page.header.append(self.text)
        elif tag == "td":
            self.page.rows[-1].append(self.text)
        elif tag == "li":
            self.page.below.append(self.text)
        elif tag == "p":
            self.page.above.append(self.text)
        self.text = self.text if tag == "strong" else ""


def read(html: str) -> Page:
    """Read a whole page; a tag that is not closed is an error."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader.page
