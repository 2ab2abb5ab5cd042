"""The options that many commands have, with one meaning and one wording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Home = Annotated[Path | None, typer.Option("--home", help="The state folder.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, and nothing else.")]
Dump = Annotated[Path | None, typer.Option("--from-file", help="Read this dump instead of a running stack's log.")]
