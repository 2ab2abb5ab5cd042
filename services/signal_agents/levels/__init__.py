"""The levels agent: support, resistance and where volume changed hands, a map per instrument."""
