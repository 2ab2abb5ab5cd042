"""What `bulkhead doctor` says of silence: would anybody outside notice if this machine, its network or its notifier were gone?

The dead man's switch is not called: a beat from here would be a sign of life of somebody else.
"""

from __future__ import annotations

from typing import Any

from services.cli.doctor import Finding

CHECK = "silence"
CURE = (
    "make a check at a dead man's switch (healthchecks, or another) that pages after three periods of silence, put its URL into a file "
    "(mode 0600), and name that in BULKHEAD_NOTIFY_HEARTBEAT_URL_FILE"
)


def check_silence(notifier: Any, *, live: bool) -> Finding:
    """Whether a dead man's switch is told of us; where money is real one should be."""
    if notifier.notify_heartbeat_url_file is not None:
        return Finding(CHECK, "OK", f"a dead man's switch is called every {notifier.notify_heartbeat_s} s")
    text = "no dead man's switch is called: if this machine goes silent, nobody is paged"
    return Finding(CHECK, "WARN", text, CURE) if live else Finding(CHECK, "OK", text)
