"""What the ledger reads and says."""

from libs.common.messages import (
    BaselineDeclared,
    CapitalMoved,
    EquityChanged,
    ExecutionReport,
    FeedMarks,
    FeedStatus,
    JournalHeadDeclared,
    JournalPosted,
    OrderApproved,
    OrderSubmitting,
    PositionChanged,
    ProjectionBreakerChanged,
    Reconciled,
)
from libs.runtime.contract import Contract, Reader, Zone

CONSUMES = (
    BaselineDeclared,
    CapitalMoved,
    ExecutionReport,
    FeedMarks,
    FeedStatus,
    OrderApproved,
    OrderSubmitting,
    Reconciled,
)
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
