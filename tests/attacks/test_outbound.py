"""Server-side request forgery: nothing that anybody tells a service makes it ask an address (S19)."""

import ast
from pathlib import Path

from services.notifier import letters

ROOT = Path(__file__).parents[2]
CLIENTS = {
    "aiohttp",
    "ftplib",
    "http.client",
    "httpx",
    "requests",
    "socket",
    "urllib.request",
    "urllib3",
    "webbrowser",
    "xmlrpc.client",
}
"""What could ask for an address. Kafka, PostgreSQL, SMTP and the attachments' storage are named by settings alone."""

OUR_OWN = {("shared/chassis/command_line.py", "socket")}
"""Listens, and asks nobody."""


def imports(path: Path) -> set[str]:
    """Every module that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def test_no_service_can_be_made_to_ask_an_address() -> None:
    """Logos and files come as bytes, never as addresses: there is no client to turn against the inside."""
    found = {
        (str(path.relative_to(ROOT)), module)
        for folder in ("services", "shared")
        for path in (ROOT / folder).rglob("*.py")
        for module in imports(path) & CLIENTS
    }

    assert found <= OUR_OWN


def test_a_letter_is_made_without_asking_for_what_it_names() -> None:
    """Style sheets and pictures that a text names are not fetched while a letter is written."""
    hostile = '<link rel="stylesheet" href="http://169.254.169.254/latest/meta-data"><p>Hello</p>'

    assert "Hello" in letters._inliner.inline(hostile)
