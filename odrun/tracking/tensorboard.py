"""TensorBoard event files without TensorFlow: TensorBoard's own messages, framed as TFRecords.

TensorBoard's `EventFileWriter` is not used because it imports TensorFlow where that is installed, and puts the host's
name into the file's.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import BinaryIO

import google_crc32c
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # type: ignore[import-untyped] # ships no types
from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped] # ships no types

from odrun.tracking.tracker import Picture, TrackingError


class TensorboardTracker:
    """Writes a new event file into `folder`.

    After a resume (`resumed_at` above 0) TensorBoard is told to forget what earlier files say of later steps.
    """

    name = "TensorBoard"

    def __init__(self, folder: Path, *, resumed_at: int = 0, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = _new_file(folder, int(clock()))
        except OSError as error:
            raise self._fault(error) from error
        self._write(Event(wall_time=clock(), file_version="brain.Event:2"))
        if resumed_at > 0:
            start = SessionLog(status=SessionLog.SessionStatus.START)
            self._write(Event(wall_time=clock(), step=resumed_at + 1, session_log=start))

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """One scalar per value, under its own key."""
        scalars = [Summary.Value(tag=key, simple_value=float(value)) for key, value in values.items()]
        self._write(Event(wall_time=self._clock(), step=step, summary=Summary(value=scalars)))

    def pictures(self, step: int, pictures: Sequence[Picture]) -> None:
        """One image per picture, as drawn."""
        try:
            images = [
                Summary.Value(tag=f"pictures/{picture.name}", image=_image(picture.drawn)) for picture in pictures
            ]
        except OSError as error:
            raise TrackingError(f"a picture cannot be read: {error}", where=str(self._folder)) from error
        self._write(Event(wall_time=self._clock(), step=step, summary=Summary(value=images)))

    def summary(self, values: Mapping[str, float]) -> None:
        """Nothing: TensorBoard shows the last values of its scalars."""

    def close(self, status: str) -> None:
        """Close the file; what was written stays."""
        del status
        self._file.close()

    def _write(self, event: Event) -> None:
        try:
            self._file.write(_framed(event.SerializeToString()))
            self._file.flush()
        except OSError as error:
            raise self._fault(error) from error

    def _fault(self, error: OSError) -> TrackingError:
        return TrackingError(f"the event file cannot be written: {error.strerror}", where=str(self._folder))


def _new_file(folder: Path, seconds: int) -> BinaryIO:
    """A file that was not there before; TensorBoard reads the files of a folder in the order of their names."""
    taken = {file.name for file in folder.iterdir()}
    names = (f"events.out.tfevents.{seconds:010d}.odrun.{number:04d}" for number in count())
    return (folder / next(name for name in names if name not in taken)).open("xb")


def _image(path: Path) -> Summary.Image:
    with Image.open(path) as image:
        width_px, height_px = image.size
    return Summary.Image(height=height_px, width=width_px, colorspace=3, encoded_image_string=path.read_bytes())


def _framed(payload: bytes) -> bytes:
    length = struct.pack("<Q", len(payload))
    return length + _masked_crc(length) + payload + _masked_crc(payload)


def _masked_crc(payload: bytes) -> bytes:
    """The TFRecord format's checksum: CRC-32C, rotated right by 15 bits, plus a constant."""
    crc = google_crc32c.value(payload)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
