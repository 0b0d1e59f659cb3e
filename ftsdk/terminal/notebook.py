"""How jobs, plans and models show themselves in a notebook: a small HTML table."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape


def table(title: str, rows: Mapping[str, object]) -> str:
    """An HTML table of two columns. Values that are None or empty are left out; addresses of the web are links."""
    shown = {name: str(value) for name, value in rows.items() if value not in (None, "", (), {}, [])}
    body = "".join(f"<tr><th>{escape(name)}</th><td>{_cell(value)}</td></tr>" for name, value in shown.items())
    return f"<table><caption>{escape(title)}</caption>{body}</table>"


def _cell(text: str) -> str:
    is_link = text.startswith(("https://", "http://"))
    return f'<a href="{escape(text)}">{escape(text)}</a>' if is_link else escape(text)
