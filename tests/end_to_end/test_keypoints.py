"""`odrun train` of a small CenterNet on objects with keypoints: its head is trained, scored, exported and used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from small_runs import QUICK, Trained, odrun, trained_on

from odrun.settings import METRIC_KEYS

SIDE_PX = 128
POINTS = ("left_end", "right_end", "tip")
SMALL = (
    *QUICK,
    "model=centernet_resnet50_v2_512x512_kpts",
    f"model.input_px=[{SIDE_PX},{SIDE_PX}]",
    # Room for both classes: what a few steps have taught does not decide which of them is found first.
    "pipeline.model.center_net.object_center_params.max_box_predictions=300",
    "dataset.name=arrows",
    "train.learning_rate=1e-4",
)


def write_arrows(folder: Path, *, count: int, seed: int) -> None:
    """`count` images with a disc and a triangle each, and a COCO file with three keypoints of each triangle."""
    rng = np.random.default_rng(seed)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    (folder / "images").mkdir(parents=True)
    for number in range(1, count + 1):
        image = Image.new("RGB", (SIDE_PX, SIDE_PX), (124, 117, 104))
        x, y = (int(value) for value in rng.integers(5, 40, 2))
        corners = [(x, y + 40), (x + 40, y + 40), (x + 20, y)]
        ImageDraw.Draw(image).polygon(corners, fill=(220, 60, 60))
        ImageDraw.Draw(image).ellipse((90, 90, 120, 120), fill=(60, 60, 220))
        image.save(folder / "images" / f"{number}.png")
        images.append({"id": number, "file_name": f"images/{number}.png", "width": SIDE_PX, "height": SIDE_PX})
        points = [value for corner in corners for value in (*corner, 2)]
        of_arrow = {"category_id": 2, "bbox": [x, y, 40, 40], "keypoints": points, "num_keypoints": 3}
        for entry in (of_arrow, {"category_id": 1, "bbox": [90, 90, 30, 30]}):
            annotations.append({"id": len(annotations) + 1, "image_id": number, "area": 900, "iscrowd": 0, **entry})
    categories = [{"id": 1, "name": "disc"}, {"id": 2, "name": "arrow", "keypoints": list(POINTS), "skeleton": []}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(content))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained_on(tmp_path_factory.mktemp("keypoints"), write_arrows, SMALL)


@pytest.mark.slow
def test_the_head_for_keypoints_is_trained_and_scored(trained: Trained) -> None:
    summary = json.loads((trained.run / "summary.json").read_text())
    assert (summary["status"], summary["steps"]) == ("completed", 3)
    rows = [json.loads(line) for line in (trained.run / "metrics.jsonl").read_text().splitlines()]
    of_keypoints = {name for row in rows for name, value in row.items() if "human_pose/keypoint" in name and value > 0}
    assert {name.partition("keypoint/")[2] for name in of_keypoints if name.startswith("train/")} >= {
        "heatmap",
        "offset",
        "regression",
    }
    metrics = json.loads((trained.run / "eval" / "3" / "metrics.json").read_text())
    assert list(metrics)[: len(METRIC_KEYS)] == list(METRIC_KEYS)
    assert "Keypoints_Precision/mAP ByCategory/arrow" in metrics
    assert not any("disc" in name for name in metrics)
    assert "eval/Keypoints_Precision/mAP" in rows[-1]
    label_map = (trained.run / "label_map.pbtxt").read_text()
    assert [label_map.count(f'label: "{point}"') for point in POINTS] == [1, 1, 1]


@pytest.mark.slow
def test_evaluation_and_prediction_give_keypoints_with_each_box_of_a_class_that_has_some(trained: Trained) -> None:
    odrun(trained.place, "predict", f"run={trained.run}", "source=data/val/images")
    (predicted,) = trained.place.glob("outputs/predict/*/detections.json")
    for file in (trained.run / "eval" / "3" / "detections.json", predicted):
        detections = json.loads(file.read_text())
        # Label ids follow the alphabet: the arrow's is 1.
        assert {(each["category_id"], len(each.get("keypoints", ()))) for each in detections} == {(1, 9), (2, 0)}
