"""Remove the blank line that a doctest needs at its end from the displayed code."""

from docutils import nodes
from sphinx.transforms import SphinxTransform


class TrimmedExamples(SphinxTransform):
    """Remove blank lines at the end of every code block."""

    default_priority = 500

    def apply(self) -> None:
        """Replace the text of blocks that end with a blank line."""
        for block in list(self.document.findall(nodes.literal_block)):
            text = block.astext()
            if text != text.rstrip():
                block.rawsource = text.rstrip()
                block.children = []
                block += nodes.Text(text.rstrip())


def setup(app) -> dict:
    """Register the transform."""
    app.add_transform(TrimmedExamples)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
