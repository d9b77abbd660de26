"""Locks on open files that the system gives back when their holder ends, however it ends."""

from __future__ import annotations

import sys

if sys.platform == "win32":
    import msvcrt

    def locked(descriptor: int, *, wait: bool) -> bool:
        """Take the lock on an open file; whether it was got, which it is in the end with `wait`."""
        try:
            msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        except OSError:
            # LK_LOCK gives up after ten tries, one a second.
            return locked(descriptor, wait=True) if wait else False
        return True

else:
    import fcntl

    def locked(descriptor: int, *, wait: bool) -> bool:
        """Take the lock on an open file; whether it was got, which it is in the end with `wait`."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
