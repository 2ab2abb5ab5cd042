"""`bulkhead doctor`: everything that has to be right before or while a stack runs, looked at without changing anything.

A check returns findings; a finding is OK, WARN (it works, but look) or FAIL (it will not work), and says what to do. Checks do not
depend on each other: each looks at the world by itself, so that one that cannot be made hides no other.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from libs.runtime import nats_server
from libs.runtime.nats_config import ADMIN_USER, API
from libs.runtime.provision import ProvisionError, check_server_version, verify
from libs.runtime.registry import contracts
from services.cli.exit_codes import Failure, failing_clearly
from services.cli.observer import connected
from services.cli.place import Place, find_place
from services.cli.settings_check import settings_findings
from services.cli.stack import RUNNING, Ports, StackError, StackSettings, check_ports

Level = Literal["OK", "WARN", "FAIL"]

PYTHON_MIN = (3, 11)
LOCK = Path(__file__).parents[2] / "requirements" / "dev.lock"
DISK_BYTES_FAIL, DISK_BYTES_WARN = 1_000_000_000, 5_000_000_000
YEARS_BELIEVED = range(2025, 2100)
CLOCK_STEP_MS_MAX = 50.0
SECOND_NS = 1_000_000_000


class Finding(msgspec.Struct, frozen=True):
    """What a check found; `cure` is empty when all is well."""

    check: str
    level: Level
    text: str
    cure: str = ""
