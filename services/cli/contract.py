"""What an operator may say through the command line."""

from libs.common.messages import (
    BaselineAccepted,
    GenesisDeclared,
    LiveUnlocked,
    MacroOverrideCommanded,
    OperatorCommanded,
    TextHeard,
)
from libs.runtime.contract import Contract, Zone

CONSUMES = ()
PRODUCES = (GenesisDeclared, LiveUnlocked, BaselineAccepted, MacroOverrideCommanded, OperatorCommanded, TextHeard)

CONTRACT = Contract(service="cli", writer="ops.cli", zone=Zone.CORE, consumes=CONSUMES, produces=PRODUCES)
