"""The model zoo: named models, their archives, and the checkpoint that a training starts from."""
