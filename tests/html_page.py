"""A reader of HTML and SVG for tests."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """A parsed page; tags that are not properly nested raise an AssertionError.

    `tags` lists (tag, attributes), and `text` is the visible text.
    """

    VOID = frozenset({"meta", "br", "link", "img", "input", "hr"})

    def __init__(self, source):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(source)
        self.close()
        assert self.open == [], "some tags are not closed"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> out of place at {self.getpos()}"

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style", "script"):
            self.text += data

    @property
    def ids(self):
        return [attrs["id"] for _, attrs in self.tags if "id" in attrs]

    @property
    def links(self):
        """Return the ids that links of the page point to."""
        return {attrs["href"].removeprefix("#") for tag, attrs in self.tags if tag == "a"}
