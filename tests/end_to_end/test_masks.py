"""`odrun train` of a small Mask R-CNN on polygons: its head for masks is trained, scored, exported and used."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask
from small_runs import QUICK, Trained, odrun, trained_on

from odrun.evaluation.coco import MASK_METRIC_KEYS
from odrun.settings import METRIC_KEYS

SIDE_PX = 128
# What the network takes for zero, and a little more: brighter pixels grow so much on their way through a random ResNet
# that its boxes have no area.
GROUND, DISC = (124, 117, 104), (126, 119, 106)
NMS = "pipeline.model.faster_rcnn.second_stage_post_processing.batch_non_max_suppression"
SMALL = (
    *QUICK,
    "model=mask_rcnn_inception_resnet_v2_1024x1024",
    f"model.input_px=[{SIDE_PX},{SIDE_PX}]",
    "pipeline.model.faster_rcnn.feature_extractor.type=faster_rcnn_resnet50_keras",
    "pipeline.model.faster_rcnn.first_stage_max_proposals=16",
    f"{NMS}.max_detections_per_class=10",
    f"{NMS}.max_total_detections=10",
    "+pipeline.model.faster_rcnn.second_stage_batch_size=8",
    "dataset.name=discs",
    "train.learning_rate=1e-6",
)


def write_discs(folder: Path, *, count: int, seed: int) -> None:
    """`count` images with a disc each, and a COCO file with polygons around them."""
    rng = np.random.default_rng(seed)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    (folder / "images").mkdir(parents=True)
    for number in range(1, count + 1):
        image = Image.new("RGB", (SIDE_PX, SIDE_PX), GROUND)
        radius = int(rng.integers(15, 30))
        x, y = (int(value) for value in rng.integers(radius, SIDE_PX - radius, 2))
        ImageDraw.Draw(image).ellipse((x - radius, y - radius, x + radius, y + radius), fill=DISC)
        image.save(folder / "images" / f"{number}.png")
        images.append({"id": number, "file_name": f"images/{number}.png", "width": SIDE_PX, "height": SIDE_PX})
        angles = [2 * math.pi * step / 24 for step in range(24)]
        ring = [side for angle in angles for side in (x + radius * math.cos(angle), y + radius * math.sin(angle))]
        bbox = [x - radius, y - radius, 2 * radius, 2 * radius]
        mask = {"segmentation": [ring], "area": math.pi * radius**2}
        annotations.append({"id": number, "image_id": number, "category_id": 1, "bbox": bbox, "iscrowd": 0, **mask})
    categories = [{"id": 1, "name": "disc"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(content))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained_on(tmp_path_factory.mktemp("masks"), write_discs, SMALL)


@pytest.mark.slow
def test_the_head_for_masks_is_trained_and_scored(trained: Trained) -> None:
    summary = json.loads((trained.run / "summary.json").read_text())
    assert (summary["status"], summary["steps"]) == ("completed", 3)
    rows = [json.loads(line) for line in (trained.run / "metrics.jsonl").read_text().splitlines()]
    assert max(row.get("train/loss/BoxClassifierLoss/mask", 0.0) for row in rows) > 0
    metrics = json.loads((trained.run / "eval" / "3" / "metrics.json").read_text())
    assert list(metrics) == [*METRIC_KEYS, *MASK_METRIC_KEYS]
    assert "eval/DetectionMasks_Precision/mAP" in rows[-1]
    pipeline = (trained.run / "pipeline.config").read_text()
    for line in ("number_of_stages: 3", "predict_instance_masks: true", "load_instance_masks: true"):
        assert line in pipeline


@pytest.mark.slow
def test_evaluation_and_prediction_give_a_mask_of_the_image_s_size_with_each_box(trained: Trained) -> None:
    odrun(trained.place, "predict", f"run={trained.run}", "source=data/val/images")
    (predicted,) = trained.place.glob("outputs/predict/*/detections.json")
    for file in (trained.run / "eval" / "3" / "detections.json", predicted):
        detections = json.loads(file.read_text())
        assert len(detections) > 0
        assert {tuple(each["segmentation"]["size"]) for each in detections} == {(SIDE_PX, SIDE_PX)}
        assert sum(int(coco_mask.area(each["segmentation"])) for each in detections) > 0
