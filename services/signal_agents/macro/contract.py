"""What the macro agent reads and says."""

from libs.common.messages import FeedBars, FeedHistory, MacroRegimes
from libs.runtime.contract import Contract, Zone

CONSUMES = (FeedBars, FeedHistory)
PRODUCES = (MacroRegimes,)

CONTRACT = Contract(service="agent-macro", writer="agent.macro", zone=Zone.CORE, consumes=CONSUMES, produces=PRODUCES)
