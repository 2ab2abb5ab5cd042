"""The operator's desk: what people see of the log, and what they say into it. Command line, gateway and bot share it."""
