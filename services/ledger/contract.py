"""What the ledger reads and says."""

from libs.common.messages import (
    CapitalMoved,
    EquityChanged,
    ExecutionReport,
    FeedMarks,
    FeedStatus,
    JournalHeadDeclared,
    JournalPosted,
    PositionChanged,
    ProjectionBreakerChanged,
    Reconciled,
)
from libs.runtime.contract import Contract, Reader, Zone

CONSUMES = (CapitalMoved, ExecutionReport, FeedMarks, FeedStatus, Reconciled)
PRODUCES = (EquityChanged, JournalHeadDeclared, JournalPosted, PositionChanged, ProjectionBreakerChanged)

PROJECTION = Reader(
    durable="ledger-sql",
    filters=(
        "agent.*.signals",
        "agent.llm.judgement.*",
        "agent.llm.model",
        "exec.report.*",
        "exec.submitting.*",
        "ledger.>",
        "portfolio.decisions",
        "portfolio.intent.*",
        "risk.>",
    ),
)

CONTRACT = Contract(
    service="ledger",
    writer="ledger",
    zone=Zone.CORE,
    consumes=CONSUMES,
    produces=PRODUCES,
    hears_itself=(ProjectionBreakerChanged,),
    readers=(PROJECTION,),
)
