"""Runs the notifier."""

from libs.runtime.process import run
from services.notifier.adapters.heartbeat import beating
from services.notifier.adapters.people import PeopleAdapter
from services.notifier.contract import CONTRACT
from services.notifier.machine import NotifierMachine
from services.notifier.settings import Settings

if __name__ == "__main__":
    run(CONTRACT, NotifierMachine, Settings, adapter=beating(PeopleAdapter))
