"""odrun: a Hydra-configured experiment runner for object detection."""

__version__ = "0.1.0"
