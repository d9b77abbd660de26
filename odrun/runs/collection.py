"""Python's garbage collector, paused while a run starts: it finds nothing then, and takes more than a second to do so.

Imports and the tracing of graphs make millions of objects that stay.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_paused() -> Iterator[None]:
    """Within it nothing is collected until `resume_collection` is called; after it everything can be again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()


def resume_collection() -> None:
    """Let a paused collector work again, on what is made from now on: to go through all the rest takes seconds."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def leave_uncollected() -> None:
    """To be called last: Python would go through all there is once more at its end, to give back what ends with it."""
    gc.freeze()
