"""The operator's command: `bulkhead up | status | trace | replay | doctor`."""
