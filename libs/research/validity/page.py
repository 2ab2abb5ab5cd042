"""A validation as one page that needs nothing else: no script, no picture, no network."""

from __future__ import annotations

from html import escape

from libs.research.validity.verdict import Validation
from libs.research.validity.words import Section, sections_of

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1d2430; background: #fff; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.1rem; margin: 1.8rem 0 .4rem; border-bottom: 1px solid #d5dae2; }
ul { margin: 0; padding-left: 1.2rem; } li { margin: .25rem 0; white-space: pre-wrap; overflow-wrap: anywhere; }
small { color: #5b6675; } .may li::marker { color: #1a7f4b; content: "\\2713  "; } .not li::marker { color: #b3261e; content: "\\2717  "; }
@media (prefers-color-scheme: dark) { body { color: #e3e7ee; background: #14181f; } h2 { border-color: #323a47; } small { color: #97a2b2; } }
"""
MARKS = {"What may be claimed": "may", "What may not be claimed": "not"}


def page_of(found: Validation) -> str:
    """The page, as HTML."""
    title = f"Validation of {escape(found.name)}"
    heads = "<br>".join(
        escape(each) for each in (*found.series, f"code {found.code_digest}, settings {found.settings_digest}")
    )
    body = "\n".join(_section(each) for each in sections_of(found))
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n<h1>{title}</h1>\n<small>{heads}</small>\n{body}\n</html>\n"
    )


def _section(section: Section) -> str:
    rows = "\n".join(f"<li>{escape(line)}</li>" for line in section.lines)
    return f'<h2>{escape(section.title)}</h2>\n<ul class="{MARKS.get(section.title, "lines")}">\n{rows}\n</ul>'
