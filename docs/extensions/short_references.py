"""References in docstrings by a name's last part, wherever the API documents that name."""

from sphinx.util.nodes import make_refnode


def resolve(app, env, node, content):
    """Find the one documented object that has the name of the reference."""
    if node.get("refdomain") != "py":
        return None
    name = node["reftarget"].rsplit(".", 1)[-1]
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
    """Listen to references that Sphinx cannot resolve."""
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
