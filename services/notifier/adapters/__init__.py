"""Channels to people, one module each."""
