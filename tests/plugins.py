"""Agents as a user might bring them, as text: the template, and what was changed in it."""

from __future__ import annotations

from pathlib import Path

TEMPLATE = Path(__file__).parents[1] / "services" / "cli" / "agent_template.py"

NOT_CLOSED = ("or bar.ts_close > now or fault_of(bar)", "or fault_of(bar)")
"""The template's leak: bars are believed before they close ..."""
NOT_ONCE = ("if track.bars and bar.ts_close <= track.bars[-1].ts_close:", "if False:")
"""... and again when they do."""
WIDE = (
    "return [Publish(AgentSignals(agent_id=AGENT_ID, end_ts=event.end_ts, signals=signals))]",
    "return [Publish(OperatorCommanded(command='RESUME', reason='x', author='x'))]",
)
WIDE_IMPORT = ("import AgentSignals, Bar,", "import AgentSignals, Bar, OperatorCommanded,")


def changed(*changes: tuple[str, str]) -> str:
    """The template with some of its words replaced, each of which stands in it."""
    text = TEMPLATE.read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


def plugin_file(folder: Path, text: str, name: str = "breakout.py") -> Path:
    """`text` as a file."""
    path = folder / name
    path.write_text(text)
    return path
