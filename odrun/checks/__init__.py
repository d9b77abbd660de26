"""What can be judged of a training before it begins: each check is a function from plain values to its findings."""
