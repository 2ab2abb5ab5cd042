"""One folder a compartment. No service imports another; they meet only in the log."""
