"""The one way in which settings are refused."""

from __future__ import annotations


class SettingsError(ValueError):
    """A setting is unusable; the text names the variable, what it got (never a secret) and what it wants.

    A ValueError, so that a validator's refusal of one file is told among all other bad settings.
    """
