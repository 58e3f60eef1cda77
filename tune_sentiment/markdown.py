"""People's own words inside our markdown."""

import html


def harmless(text: str) -> str:
    """The text on one line, with what would break a table or be taken for HTML written out."""
    return " ".join(html.escape(text, quote=False).replace("|", "\\|").split())
