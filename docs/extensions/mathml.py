"""Render formulas as MathML, which browsers display without scripts or downloads."""

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

logger = logging.getLogger(__name__)


def convert(node: nodes.Node, as_block: bool) -> str:
    """Return the MathML of a formula; warn about a command that docutils does not know."""
    try:
        return tex2mathml(node.astext(), as_block=as_block)
    except MathError as error:
        logger.warning("%s", error, location=node)
        return f"<code>{node.astext()}</code>"


def inline(self, node: nodes.Node) -> None:
    """Write a formula within a line."""
    self.body.append(convert(node, as_block=False))
    raise nodes.SkipNode


def displayed(self, node: nodes.Node) -> None:
    """Write a displayed formula."""
    self.body.append(self.starttag(node, "div", CLASS="displayed-formula"))
    self.body.append(convert(node, as_block=True))
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app) -> dict:
    """Register the renderer under the name that `html_math_renderer` selects."""
    app.add_html_math_renderer("mathml", (inline, None), (displayed, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
