"""Measurements, each beside its floor in the same run. They print JSON and are run by hand; no test depends on a duration."""
