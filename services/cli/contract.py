"""What an operator may say through the command line."""

from libs.common.messages import (
    BackupMade,
    BaselineAccepted,
    BaselineDeclared,
    BookRestored,
    CancelCommanded,
    EpochBegan,
    FlattenCommanded,
    GenesisDeclared,
    LiveUnlocked,
    MacroOverrideCommanded,
    OperatorCommanded,
    RestoreProven,
    TextHeard,
)
from libs.runtime.contract import Contract, Zone

CONSUMES = ()
PRODUCES = (
    GenesisDeclared,
    LiveUnlocked,
    BaselineAccepted,
    BackupMade,
    BaselineDeclared,
    BookRestored,
    CancelCommanded,
    EpochBegan,
    FlattenCommanded,
    MacroOverrideCommanded,
    OperatorCommanded,
    RestoreProven,
    TextHeard,
)

CONTRACT = Contract(service="cli", writer="ops.cli", zone=Zone.CORE, consumes=CONSUMES, produces=PRODUCES)
