"""Resolve references by the last part of a name, and those to the pages of other libraries."""

from docutils import nodes
from sphinx.util.nodes import make_refnode

OTHERS = {
    "sklearn": "https://scikit-learn.org/stable/modules/generated/{}.html",
    "torch": "https://docs.pytorch.org/docs/stable/generated/{}.html",
    "numpy": "https://numpy.org/doc/stable/reference/generated/{}.html",
    "scipy": "https://docs.scipy.org/doc/scipy/reference/generated/{}.html",
}


def resolve(app, env, node, content):
    """Link to another library, or to the only documented object of this name."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    if page := OTHERS.get(target.split(".", 1)[0]):
        return nodes.reference("", "", content, refuri=page.format(target), internal=False)
    name = target.rsplit(".", 1)[-1]
    found = {
        full: entry
        for full, entry in env.domains["py"].objects.items()
        if full.rsplit(".", 1)[-1] == name and not entry.aliased
    }
    if len(found) != 1:
        return None
    ((full, entry),) = found.items()
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, content, full)


def setup(app) -> dict:
    """Register the handler of references that Sphinx cannot resolve."""
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
