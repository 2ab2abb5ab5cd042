"""Runs one plug-in as a service: `python -m libs.runtime.plugin_process FILE`."""

from __future__ import annotations

import sys
from typing import NoReturn

from libs.runtime.plugin import PluginRefused, load_plugin
from libs.runtime.plugin_settings import settings_class_of
from libs.runtime.process import run
from libs.runtime.settings import EX_CONFIG


def main(item: str) -> NoReturn:
    """Run it until it is told to stop; exits as every service does, with 78 if it may not run at all."""
    try:
        plugin = load_plugin(item)
    except PluginRefused as error:
        print(f"bulkhead refuses to start an agent:\n{error}", file=sys.stderr)
        sys.exit(EX_CONFIG)
    run(plugin.contract, plugin.machine_class, settings_class_of(plugin))


if __name__ == "__main__":
    main(sys.argv[1])
