"""What the bus refuses, and what it leaves unsaid."""

from __future__ import annotations


class BusError(Exception):
    """The bus refused or did not answer; the text says what was asked."""


class Fenced(BusError):
    """The writer's prefix does not end where we believed: another instance has written. This one must end."""


class EpochOver(Fenced):
    """The log goes on in another epoch than the one in which this process has read its tail. It must end, and begin again there."""


class NotTaken(BusError):
    """Nobody takes it: it is not in the log. So it is for a moment while the log goes over to another epoch."""


class AppendUnknown(BusError):
    """No answer to an append: it may or may not be in the log. This process must end and recover."""
