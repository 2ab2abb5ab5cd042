"""What the model agent reads and says."""

from libs.common.messages import EntriesProposed, EntryJudged, ModelAnswered, TextHeard
from libs.runtime.contract import Contract, Zone

CONSUMES = (EntriesProposed, TextHeard)
PRODUCES = (EntryJudged, ModelAnswered)

CONTRACT = Contract(service="agent-llm", writer="agent.llm", zone=Zone.MODEL, consumes=CONSUMES, produces=PRODUCES)
