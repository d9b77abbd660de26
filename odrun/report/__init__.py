"""What people look at: the terminal and the plots."""
