"""The validity suite, held against markets whose truth is known."""
