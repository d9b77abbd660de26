"""Hydra and nothing else: where `conf/` lies, the schemas, and the way from a command line to a job's settings."""
