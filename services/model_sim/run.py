"""The emulated model as a process."""

from __future__ import annotations

from collections.abc import Sequence

from libs.runtime.settings import settings_or_exit
from libs.runtime.simulator import serve, simulate, take_no_words
from services.model_sim.server import ModelServer
from services.model_sim.settings import Settings

NAME = "model_sim"
VARIABLES = "BULKHEAD_MODEL_SIM_PORT, BULKHEAD_MODEL_SIM_VOICE and BULKHEAD_HOME"


def main(words: Sequence[str] = ()) -> None:
    """Run until SIGTERM or SIGINT; exit code 78 with a clear line when it cannot listen, 2 for `words` on its command line."""
    take_no_words(NAME, words, VARIABLES)
    settings = settings_or_exit(Settings)
    simulate(NAME, settings, lambda stopping: serve(ModelServer(settings), settings.folder, stopping))
