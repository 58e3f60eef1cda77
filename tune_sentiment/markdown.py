"""People's own words inside our markdown."""

import html
import re


def harmless(text: str) -> str:
    """The text on one line: no HTML, no link or picture, nothing that would break a table."""
    escaped = html.escape(text, quote=False).replace("|", "\\|")
    for before, after in (("](", "]\\("), ("][", "]\\["), ("]:", "]\\:")):
        escaped = escaped.replace(before, after)
    return " ".join(escaped.split())


def fenced(text: str) -> str:
    """The text as a block of code that nothing in it can end."""
    longest = max(map(len, re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"
