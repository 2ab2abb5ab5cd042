"""What the gateway reads and says."""

from libs.common.messages import (
    AccessRefused,
    CancelCommanded,
    FlattenCommanded,
    MacroOverrideCommanded,
    OperatorCommanded,
)
from libs.common.subjects import TRADING_ROOTS, writer_filter
from libs.runtime.contract import Contract, Reader, Zone

CONSUMES = ()
PRODUCES = (AccessRefused, CancelCommanded, FlattenCommanded, MacroOverrideCommanded, OperatorCommanded)

WHOLE_LOG = Reader(durable="gateway-log", filters=tuple(writer_filter(root) for root in TRADING_ROOTS))

CONTRACT = Contract(
    service="gateway", writer="ops.gateway", zone=Zone.EDGE, consumes=CONSUMES, produces=PRODUCES, readers=(WHOLE_LOG,)
)
