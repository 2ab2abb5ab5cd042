"""Long runs that look for what only time shows: memory that grows, tasks and connections that stay."""
