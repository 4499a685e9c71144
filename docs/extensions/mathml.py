"""Formulas as MathML, which browsers draw without scripts or downloads."""

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml


def inline(self, node: nodes.Node) -> None:
    """Write a formula within a line."""
    self.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def displayed(self, node: nodes.Node) -> None:
    """Write a displayed formula."""
    self.body.append(self.starttag(node, "div", CLASS="math displayed"))
    self.body.append(tex2mathml(node.astext(), as_block=True))
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app) -> dict:
    """Register the renderer under the name that `html_math_renderer` selects."""
    app.add_html_math_renderer("mathml", (inline, None), (displayed, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
