"""The device that a training would run on, and its memory, asked of the system without TensorFlow."""

from __future__ import annotations

import os
import shutil
import subprocess

_QUERY = ("--query-gpu=memory.total", "--format=csv,noheader,nounits")
_ANSWER_S = 10


def device_memory() -> tuple[str, int]:
    """What the device is called and its memory in bytes: the first NVIDIA GPU, else this machine."""
    program = shutil.which("nvidia-smi")
    if program is not None and os.environ.get("CUDA_VISIBLE_DEVICES", "0") not in ("", "-1"):
        try:
            answer = subprocess.run(  # noqa: S603 - a program found on the path, with arguments of ours
                [program, *_QUERY], capture_output=True, text=True, check=False, timeout=_ANSWER_S
            ).stdout.split()
        except (OSError, subprocess.TimeoutExpired):
            answer = []
        if answer and answer[0].isdigit():
            return "the GPU", int(answer[0]) << 20
    return "this machine", os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
