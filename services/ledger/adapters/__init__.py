"""The SQL projection: tables, rows, commits, and the reader that follows the log."""
