"""A book's backup: the log as files that grow with it, what proves them, and the way back from them to a book that goes on."""
