"""Where a process listens, and what it says when it cannot."""

from __future__ import annotations

import errno

from libs.runtime.settings_error import SettingsError


class PortTaken(Exception):
    """Somebody else listens where this process should: another time it may be free."""


def cannot_listen(error: OSError, variables: str, host: str, port: int) -> PortTaken | SettingsError:
    """What to raise for `error`: the place is taken, or it is none of ours and `variables` are wrong."""
    text = f"{variables}: got {host!r}, {port}; cannot listen there: {error.strerror}"
    return (PortTaken if error.errno == errno.EADDRINUSE else SettingsError)(text)
