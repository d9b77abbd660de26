"""The server on the loopback, as a fixture."""

from file_server import serving

__all__ = ["serving"]
