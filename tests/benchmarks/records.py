"""Records out of labelled images, against the OD API's own program: `python tests/benchmarks/records.py [PART ...]`.

speed     5,000 images of 500x375 pixels as Pascal VOC: images per second with one and two workers, of the OD API's
          create_pascal_tf_record, and a second prepare of the same data
large     10,000 and 100,000 annotated images, which are links to a few files: the most memory, and a second prepare
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from parts import ODRUN, run_parts
from PIL import Image

IMAGES = 5000
TURNS = 3
SIZE = (500, 375)
_MEASURE = """
import resource, sys
from odrun import cli
status = cli.run(sys.argv[1:])
own, workers = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(f"peak {own * 1024 / 1e6:.0f} MB, of its largest worker {workers * 1024 / 1e6:.0f} MB")
sys.exit(status)
"""


def devkit(folder: Path, *, images: int, files: int) -> Path:
    """A VOCdevkit of `images` annotations, whose images are links to `files` noisy pictures."""
    base = folder / "VOCdevkit" / "VOC2012"
    for name in ("Annotations", "JPEGImages", "ImageSets/Main", "files"):
        (base / name).mkdir(parents=True)
    chance = np.random.default_rng(0)
    for number in range(files):
        coarse = chance.integers(0, 255, (94, 125, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC)
        picture.save(base / "files" / f"{number}.jpg", quality=90)
    names = [f"2012_{number:06d}" for number in range(images)]
    for number, name in enumerate(names):
        os.link(base / "files" / f"{number % files}.jpg", base / "JPEGImages" / f"{name}.jpg")
        (base / "Annotations" / f"{name}.xml").write_text(annotation(name, chance))
    shutil.rmtree(base / "files")
    held = images // 10
    for part, listed in (("train", names[held:]), ("val", names[:held])):
        (base / "ImageSets" / "Main" / f"{part}.txt").write_text("\n".join(listed) + "\n")
        shutil.copyfile(
            base / "ImageSets" / "Main" / f"{part}.txt", base / "ImageSets" / "Main" / f"aeroplane_{part}.txt"
        )
    return folder / "VOCdevkit"


def annotation(name: str, chance: np.random.Generator) -> str:
    """An annotation with three boxes, as VOC 2012 has them."""
    objects = []
    for _ in range(3):
        xmin, ymin = int(chance.integers(1, 300)), int(chance.integers(1, 200))
        xmax, ymax = xmin + int(chance.integers(20, 190)), ymin + int(chance.integers(20, 170))
        corners = f"<xmin>{xmin}</xmin><ymin>{ymin}</ymin><xmax>{xmax}</xmax><ymax>{ymax}</ymax>"
        label = ("aeroplane", "bicycle", "bird")[int(chance.integers(3))]
        objects.append(
            f"<object><name>{label}</name><pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult>"
            f"<bndbox>{corners}</bndbox></object>"
        )
    size = f"<size><width>{SIZE[0]}</width><height>{SIZE[1]}</height><depth>3</depth></size>"
    return (
        f"<annotation><folder>VOC2012</folder><filename>{name}.jpg</filename>{size}<segmented>0</segmented>"
        f"{''.join(objects)}</annotation>"
    )


def seconds(command: list[str], *, folder: Path, cores: int | None = None) -> float:
    """Wall seconds of a command that has to succeed, on that many cores."""
    limit = [] if cores is None else ["taskset", "--cpu-list", ",".join(map(str, range(cores)))]
    started = time.perf_counter()
    subprocess.run([*limit, *command], cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - started


def speed(folder: Path) -> None:
    """odrun on one and two cores, twice each, and the OD API's program; in turns."""
    data = devkit(folder, images=IMAGES, files=IMAGES)
    label_map = folder / "label_map.pbtxt"
    names = ("aeroplane", "bicycle", "bird")
    label_map.write_text("".join(f"item {{ id: {i} name: '{name}' }}\n" for i, name in enumerate(names, start=1)))
    times: dict[str, list[float]] = {}
    for _ in range(TURNS):
        for name, cores in (("one worker", 1), ("two workers", 2)):
            shutil.rmtree(folder / "cache", ignore_errors=True)
            command = [ODRUN, "prepare", "dataset=voc", f"dataset.path={data}", f"paths.cache={folder / 'cache'}"]
            times.setdefault(name, []).append(seconds(command, folder=folder, cores=cores))
        times.setdefault("again", []).append(seconds(command, folder=folder))
        engine = [sys.executable, "-m", "odrun.compat", "object_detection.dataset_tools.create_pascal_tf_record"]
        engine += [f"--data_dir={data}", "--year=VOC2012", "--annotations_dir=Annotations"]
        engine += [f"--label_map_path={label_map}"]
        spent = 0.0
        for part in ("train", "val"):
            spent += seconds([*engine, f"--set={part}", f"--output_path={folder / f'{part}.record'}"], folder=folder)
        times.setdefault("create_pascal_tf_record", []).append(spent)
        print("  " + ", ".join(f"{name} {taken[-1]:.1f} s" for name, taken in times.items()), flush=True)
    median = {name: statistics.median(taken) for name, taken in times.items()}
    for name, taken_s in median.items():
        print(f"{name}: {taken_s:.2f} s, {IMAGES / taken_s:.0f} images/s")
    for name, one, other in (
        ("to create_pascal_tf_record", "create_pascal_tf_record", "two workers"),
        ("of two workers to one", "one worker", "two workers"),
        ("of the second prepare to the first", "two workers", "again"),
    ):
        print(f"ratio {name}: {median[one] / median[other]:.2f} times as fast")


def large(folder: Path) -> None:
    """The most memory, by the kernel's count, and the time of the same again."""
    for images in (10_000, 100_000):
        data = devkit(folder / str(images), images=images, files=20)
        arguments = ["prepare", "dataset=voc", f"dataset.path={data}", f"paths.cache={folder / 'cache'}"]
        taken = []
        for _ in range(2):
            started = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", _MEASURE, *arguments], cwd=folder, check=True, capture_output=True, text=True
            )
            taken.append(time.perf_counter() - started)
            print(f"{images} images: {done.stdout.splitlines()[-1]}, {taken[-1]:.1f} s", flush=True)
        print(f"ratio of the second prepare to the first: {taken[0] / taken[1]:.2f} times as fast")


PARTS: dict[str, Callable[[Path], None]] = {"speed": speed, "large": large}

if __name__ == "__main__":
    run_parts(PARTS, sys.argv[1:])
