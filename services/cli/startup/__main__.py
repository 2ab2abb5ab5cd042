"""`python3 -S -E -m services.cli.startup .venv`: judges an environment without starting it. Exit code 1: something in it was not reviewed."""

import sys

from services.cli.startup.report import main

sys.exit(main(sys.argv[1:]))
