"""What Prometheus sees of the portfolio: a fallback that nobody sees looks like a quiet market."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from libs.common.messages import EntriesProposed
from services.signal_agents.portfolio.adapters.series import PortfolioSeries
from tests.unit.signal_agents.portfolio_story import ETH, a_portfolio, closed, opinion, said
from tests.unit.signal_agents.test_portfolio_model import failed, hearing, judgement


def test_decisions_are_counted_by_who_drove_them_and_agents_by_their_record() -> None:
    """One judged, one failed: one of two; and the votes of the bar before."""
    book = a_portfolio(hearing()).tell(closed(1, 60_000.0)).tell(said(1))
    (proposal,) = book.only(EntriesProposed).proposals
    registry = CollectorRegistry()
    registry.register(PortfolioSeries(lambda: book.machine.state))
    assert registry.get_sample_value("bulkhead_model_decisions_total", {"driver": "MODEL"}) == 0
    book.tell(judgement(proposal))
    book.tell(closed(2, 60_100.0)).tell(said(2, opinion(close_px=60_100.0), opinion(instrument=ETH)))
    (other,) = [each for effect in book.effects for each in getattr(getattr(effect, "message", None), "proposals", ())]
    book.tell(failed(other, "timeout"))
    assert registry.get_sample_value("bulkhead_model_decisions_total", {"driver": "MODEL"}) == 1
    assert registry.get_sample_value("bulkhead_model_decisions_total", {"driver": "RULES"}) == 1
    for agent in ("trend", "llm"):
        assert registry.get_sample_value("bulkhead_agent_votes_total", {"agent": agent}) == 1
        assert registry.get_sample_value("bulkhead_agent_hit_rate", {"agent": agent}) == 1.0
    weight = registry.get_sample_value("bulkhead_agent_weight", {"agent": "llm"})
    assert weight is not None
    assert 0 < weight < 1
