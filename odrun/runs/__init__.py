"""Where a run's things lie, what it stands on, and how it ended."""
