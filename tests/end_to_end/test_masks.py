"""`odrun train` of a small Mask R-CNN on polygons: the head for masks on the whole way, and without masks in the data."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from odrun.evaluation.coco import MASK_METRIC_KEYS
from odrun.settings import METRIC_KEYS

ODRUN = str(Path(sys.executable).with_name("odrun"))
SIDE_PX = 128
NMS = "pipeline.model.faster_rcnn.second_stage_post_processing.batch_non_max_suppression"
SMALL = (
    "model=mask_rcnn_inception_resnet_v2_1024x1024",
    "model.checkpoint=none",
    f"model.input_px=[{SIDE_PX},{SIDE_PX}]",
    "pipeline.model.faster_rcnn.feature_extractor.type=faster_rcnn_resnet50_keras",
    "pipeline.model.faster_rcnn.first_stage_max_proposals=16",
    f"{NMS}.max_detections_per_class=10",
    f"{NMS}.max_total_detections=10",
    "+pipeline.model.faster_rcnn.second_stage_batch_size=8",
    "+pipeline.train_input_reader.max_number_of_boxes=10",
    "dataset=folder",
    "dataset.name=discs",
    "train.batch_size=2",
    "train.steps=3",
    "train.warmup_steps=1",
    "eval.every=2",
    "eval.pictures=2",
    "tracking.wandb.mode=disabled",
    "paths.cache=cache",
)


def write_discs(folder: Path, *, count: int, seed: int, has_masks: bool) -> None:
    """`count` images with a disc each, and a COCO file with polygons around them, or with the boxes alone."""
    rng = np.random.default_rng(seed)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    (folder / "images").mkdir(parents=True)
    for number in range(1, count + 1):
        image = Image.new("RGB", (SIDE_PX, SIDE_PX), "white")
        radius = int(rng.integers(15, 30))
        x, y = (int(value) for value in rng.integers(radius, SIDE_PX - radius, 2))
        ImageDraw.Draw(image).ellipse((x - radius, y - radius, x + radius, y + radius), fill="navy")
        image.save(folder / "images" / f"{number}.png")
        images.append({"id": number, "file_name": f"images/{number}.png", "width": SIDE_PX, "height": SIDE_PX})
        angles = [2 * math.pi * step / 24 for step in range(24)]
        ring = [side for angle in angles for side in (x + radius * math.cos(angle), y + radius * math.sin(angle))]
        bbox = [x - radius, y - radius, 2 * radius, 2 * radius]
        entry = {"id": number, "image_id": number, "category_id": 1, "bbox": bbox, "iscrowd": 0}
        annotations.append(entry | ({"segmentation": [ring], "area": math.pi * radius**2} if has_masks else {}))
    categories = [{"id": 1, "name": "disc"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(content))
