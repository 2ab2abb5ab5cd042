"""Kill everything, repeatedly, on the real stack; the books must not notice."""
