"""`make audit`: every subject of a security review, judged now by what shows it."""
