"""What runs at the start of a Python interpreter although nobody imported it, held against what was reviewed."""
