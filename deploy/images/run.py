"""Runs the module that this image was made for (the build argument MODULE), as `python -m` would."""

import os
from runpy import run_module

run_module(os.environ["MODULE"], run_name="__main__", alter_sys=True)
