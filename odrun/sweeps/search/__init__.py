"""`hydra/sweeper=search`: settings are looked for with Optuna instead of all being tried."""
