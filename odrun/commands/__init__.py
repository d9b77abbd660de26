"""What odrun does, one story for each command, told straight down."""
