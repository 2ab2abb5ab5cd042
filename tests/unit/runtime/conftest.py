"""What the tests of the runtime share."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from collections.abc import Iterator

import pytest
import structlog

from libs.runtime.redaction import forget_secrets, register_secret

SECRET = "s3cr3t-value-9000"


class LogOutput(io.StringIO):
    """What stdout got, as events."""

    @property
    def events(self) -> list[dict]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def log_output() -> Iterator[LogOutput]:
    root = logging.getLogger()
    before = (list(root.handlers), root.level, sys.excepthook, sys.unraisablehook, threading.excepthook)
    stream = LogOutput()
    register_secret(SECRET)
    yield stream
    forget_secrets()
    for handler in list(root.handlers):
        if handler not in before[0]:
            root.removeHandler(handler)
    root.setLevel(before[1])
    sys.excepthook, sys.unraisablehook, threading.excepthook = before[2:]
    logging.captureWarnings(False)
    structlog.reset_defaults()
