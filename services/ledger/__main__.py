"""`python -m services.ledger`."""

from libs.runtime.process import run
from services.ledger.adapters.follower import SqlProjection
from services.ledger.contract import CONTRACT
from services.ledger.machine import LedgerMachine
from services.ledger.settings import Settings

if __name__ == "__main__":
    run(CONTRACT, LedgerMachine, Settings, adapter=SqlProjection)
