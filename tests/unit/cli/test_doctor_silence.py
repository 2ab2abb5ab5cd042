"""The doctor says whether silence would page anybody."""

from __future__ import annotations

from pathlib import Path

from services.cli.doctor_silence import check_silence
from services.notifier.settings import Settings
from tests.dead_mans_switch import SECRET, DeadMansSwitch


def test_where_money_is_real_somebody_outside_should_wait_for_a_sign_of_life(tmp_path: Path) -> None:
    """On paper it is said and is no fault; with a switch it is well, and its address is not shown."""
    without = Settings()
    assert check_silence(without, live=False).level == "OK"
    found = check_silence(without, live=True)
    assert found.level == "WARN"
    assert "BULKHEAD_NOTIFY_HEARTBEAT_URL_FILE" in found.cure
    file = DeadMansSwitch().file(tmp_path, f"https://switch.example/{SECRET}")
    found = check_silence(Settings(notify_heartbeat_url_file=file, notify_heartbeat_s=30), live=True)
    assert (found.level, found.text) == ("OK", "a dead man's switch is called every 30 s")
