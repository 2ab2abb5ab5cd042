"""`make paper-run`: weeks of market through the running stack, in hours, with faults; a report of what it met (docs/paper-run.md)."""
