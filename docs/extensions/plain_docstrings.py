"""Show formulas in docstrings, such as |phi''|, as they are, not as reStructuredText's markup."""

import re

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
    """Escape the prose of a docstring, but no examples, literal blocks, directives or tables."""
    block = None  # the indentation that a literal block or a directive is deeper than
    for number, line in enumerate(lines):
        text = line.strip()
        indent = len(line) - len(line.lstrip())
        if block is not None and (not text or indent > block):
            continue
        block = indent if text.endswith("::") or text.startswith(".. ") else None
        if block is None and not text.startswith((">>>", "...", "| ", "+-")):
            lines[number] = escape(line)


def setup(app) -> dict:
    """Listen after numpydoc has rewritten a docstring."""
    app.connect("autodoc-process-docstring", escape_docstring, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
