"""What an operator may say through the command line."""

from libs.common.messages import (
    BaselineAccepted,
    BaselineDeclared,
    CancelCommanded,
    FlattenCommanded,
    GenesisDeclared,
    LiveUnlocked,
    MacroOverrideCommanded,
    OperatorCommanded,
    TextHeard,
)
from libs.runtime.contract import Contract, Zone

CONSUMES = ()
PRODUCES = (
    GenesisDeclared,
    LiveUnlocked,
    BaselineAccepted,
    BaselineDeclared,
    CancelCommanded,
    FlattenCommanded,
    MacroOverrideCommanded,
    OperatorCommanded,
    TextHeard,
)

CONTRACT = Contract(service="cli", writer="ops.cli", zone=Zone.CORE, consumes=CONSUMES, produces=PRODUCES)
