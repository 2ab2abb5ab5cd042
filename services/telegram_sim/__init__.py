"""Telegram's Bot API for tests and demos: people who talk to a bot, a script, and every failure we know."""
