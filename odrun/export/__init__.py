"""checkpoint → files to deploy, each proven equal to the checkpoint."""
