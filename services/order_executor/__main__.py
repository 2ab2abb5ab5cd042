"""Runs the order executor."""

from libs.runtime.process import run
from services.order_executor.adapters.outage import logless
from services.order_executor.adapters.venues import venue_of
from services.order_executor.contract import CONTRACT
from services.order_executor.machine import OrderExecutorMachine
from services.order_executor.settings import Settings

if __name__ == "__main__":
    run(CONTRACT, OrderExecutorMachine, Settings, adapter=logless(venue_of))
