"""What the order executor reads and says."""

from libs.common.messages import (
    AccountRead,
    BalanceMoved,
    BaselineAccepted,
    BreakerChanged,
    CapitalMoved,
    ExecutionReport,
    FeedMarks,
    FeedStatus,
    GenesisDeclared,
    InstrumentQuarantined,
    InstrumentReleased,
    OperatorCommanded,
    OrderAnswered,
    OrderApproved,
    OrderLookedUp,
    OrderSubmitting,
    PairAnswered,
    ProtectionImprovised,
    Reconciled,
    ReplaceAnswered,
    UserStreamChanged,
    VenueChecked,
    VenueReported,
)
from libs.runtime.contract import Contract, Zone

CONSUMES = (BaselineAccepted, FeedMarks, FeedStatus, GenesisDeclared, OperatorCommanded, OrderApproved)
PRODUCES = (
    AccountRead,
    BalanceMoved,
    BreakerChanged,
    CapitalMoved,
    PairAnswered,
    ProtectionImprovised,
    VenueChecked,
    ExecutionReport,
    InstrumentQuarantined,
    InstrumentReleased,
    OrderAnswered,
    OrderLookedUp,
    OrderSubmitting,
    Reconciled,
    ReplaceAnswered,
    UserStreamChanged,
    VenueReported,
)

CONTRACT = Contract(
    service="order-executor",
    writer="exec",
    zone=Zone.EXEC,
    consumes=CONSUMES,
    produces=PRODUCES,
    hears_itself=(BalanceMoved, ProtectionImprovised, UserStreamChanged, VenueReported),
    calls_venues=True,
)
