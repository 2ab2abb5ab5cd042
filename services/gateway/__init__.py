"""The operators' door over HTTP: shows what the log says, and takes their commands into it."""
