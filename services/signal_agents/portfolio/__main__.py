"""Runs the portfolio."""

from libs.runtime.process import run
from services.signal_agents.portfolio.adapters.series import Shown
from services.signal_agents.portfolio.contract import CONTRACT
from services.signal_agents.portfolio.machine import PortfolioMachine
from services.signal_agents.portfolio.settings import Settings

if __name__ == "__main__":
    run(CONTRACT, PortfolioMachine, Settings, adapter=Shown)
