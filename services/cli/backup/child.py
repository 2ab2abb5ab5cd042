"""How `bulkhead up` keeps a backup: as a child of its own, so that a full disk or a slow folder stays where it is."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from services.cli.child import ChildSpec
from services.cli.stack import StackSettings, passed_on

NAME = "backup"


def backup_specs(settings: StackSettings, environment: Mapping[str, str]) -> list[ChildSpec]:
    """The process that copies the log into `backup_folder`, if one is named."""
    if settings.backup_folder is None:
        return []
    home = str(settings.home.resolve())
    words = ("--home", home, "backup", "--follow", "--json", "--to", str(settings.backup_folder.resolve()))
    env = {**passed_on(NAME, environment), "BULKHEAD_HOME": home, "PYTHONUNBUFFERED": "1"}
    return [ChildSpec(name=NAME, command=(sys.executable, "-m", "services.cli", *words), env=env, is_essential=False)]
