"""Show formulas in docstrings, such as |phi''|, verbatim instead of reading them as markup."""

import re

from docutils import nodes
from sphinx.transforms import SphinxTransform

LITERAL = re.compile(r"(``.*?``|`[^`]*`_*)")
MARKUP = re.compile(r"(?<!\\)\|(?! )|(?<=\S)(?<!\\)\||(?<=\w)(?<!\\)_(?!\w)")


def escape(line: str) -> str:
    """Escape bars and trailing underscores outside of literals."""
    parts = LITERAL.split(line)
    return "".join(
        part if position % 2 else MARKUP.sub(lambda found: "\\" + found.group(), part)
        for position, part in enumerate(parts)
    )


def escape_docstring(app, what, name, obj, options, lines: list[str]) -> None:
    """Escape the prose of a docstring, except examples, literal blocks, directives and tables."""
    block = None  # the indentation of the line that opens a literal block or a directive
    for number, line in enumerate(lines):
        text = line.strip()
        indent = len(line) - len(line.lstrip())
        if block is not None and (not text or indent > block):
            continue
        block = indent if text.endswith("::") or text.startswith(".. ") else None
        if block is None and not text.startswith((">>>", "...", "| ", "+-")):
            lines[number] = escape(line)


class IndentedFormulas(SphinxTransform):
    """Show the indented paragraphs of a docstring verbatim, line by line."""

    default_priority = 500

    def apply(self) -> None:
        """Replace block quotes of paragraphs on the pages that autosummary generates."""
        if not self.env.docname.startswith("api/generated/"):
            return
        for quote in list(self.document.findall(nodes.block_quote)):
            paragraphs = [child for child in quote if isinstance(child, nodes.paragraph)]
            if paragraphs and len(paragraphs) == len(quote):
                text = "\n\n".join(paragraph.rawsource for paragraph in paragraphs)
                text = text.replace("\\|", "|").replace("\\_", "_")
                quote.replace_self(nodes.literal_block(text, text, language="text"))


def setup(app) -> dict:
    """Register the escaping, which runs after numpydoc has rewritten a docstring."""
    app.connect("autodoc-process-docstring", escape_docstring, priority=900)
    app.add_transform(IndentedFormulas)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
