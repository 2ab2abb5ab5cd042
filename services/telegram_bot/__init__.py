"""The operators' door over Telegram: answers questions about the log, and takes commands into it."""
