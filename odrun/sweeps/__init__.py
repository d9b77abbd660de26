"""Many trials of one command: the launcher that runs them, the sweeper that judges them, the record of a sweep."""
