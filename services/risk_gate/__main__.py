"""Runs the risk gate."""

from libs.runtime.process import run
from services.risk_gate.adapters.series import Shown
from services.risk_gate.contract import CONTRACT
from services.risk_gate.machine import RiskMachine
from services.risk_gate.settings import Settings

if __name__ == "__main__":
    run(CONTRACT, RiskMachine, Settings, adapter=Shown, seal=Settings.seal)
