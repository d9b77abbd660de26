"""Records and label maps against TensorFlow's and the OD API's own code, in one process."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from odrun import compat
from odrun.annotations.coco import read_coco
from odrun.annotations.files import Listing
from odrun.annotations.images import as_stored, inspect_image
from odrun.annotations.kept import KeptImage, Place
from odrun.annotations.keypoint_slots import NO_KEYPOINTS, KeypointSlots
from odrun.annotations.model import AnnotatedImage, Box, Keypoint, Polygons, RunLengths
from odrun.annotations.parallel import Workers
from odrun.annotations.problems import ProblemLog
from odrun.records.example import bytes_feature, example_bytes, float_feature, image_example, int_feature
from odrun.records.index import RecordIndex
from odrun.records.label_map import label_ids, label_map_text, read_keypoints
from odrun.records.manifest import Ledger, Station, load
from odrun.records.masks import mask_pixels
from odrun.records.shards import write_shard
from odrun.records.writer import Plan, write_records

PIXELS = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)
BOXES = (Box("cat", 1, 2, 3.3, 4), Box("dög", 0, 0, 40, 30, difficult=True, truncated=True, is_crowd=True))


@pytest.fixture(scope="module")
def tf():
    compat.load()
    import tensorflow

    return tensorflow


def image(path: Path, boxes: tuple[Box, ...] = BOXES, kind: str = "JPEG") -> AnnotatedImage:
    Image.fromarray(PIXELS).save(path, kind)
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    stored = "jpeg" if kind == "JPEG" else "png"
    re_encoded = kind not in ("JPEG", "PNG")
    return AnnotatedImage(path.name, path, path, 40, 30, stored, re_encoded, digest, len(content), 0, boxes, None)


def prepared(tmp_path: Path):
    parts = {
        "train": [image(tmp_path / "a.jpg"), image(tmp_path / "b.jpg", ())],
        "validation": [image(tmp_path / "c.png", kind="PNG"), image(tmp_path / "d.bmp", kind="BMP")],
    }
    kept = {}
    with (tmp_path / "spool").open("wb") as spool:
        for part, images in parts.items():
            kept[part] = []
            for each in images:
                blob = pickle.dumps(each)
                place = Place(spool.tell(), len(blob))
                spool.write(blob)
                kept[part].append(KeptImage(each.name, (), None, b"", 0, each.size_bytes, 0, (), place))
    folder = tmp_path / "records [of] 1*"
    folder.mkdir()
    names = {"cat": "cat", "dög": "dög"}
    ledger = Ledger({station: Station(4, 6) for station in ("read", "written")})
    write_records(
        Plan(kept, ("dög", "cat"), names, has_masks=False, keypoints=NO_KEYPOINTS),
        folder,
        tmp_path / "spool",
        fingerprint="",
        problems={},
        ledger=ledger,
        workers=Workers(1),
        progress=lambda _: None,
    )
    found = load(folder)
    assert found is not None
    return found


def test_an_example_has_the_bytes_of_tensorflow_s_own(tf, tmp_path):
    each = image(tmp_path / "a.jpg")
    content = image_example(each, b"\xff\xd8", sha256="ab", label_ids={"cat": 2, "dög": 300}, source_id=41)
    own = tf.train.Example.FromString(content)
    assert own.SerializeToString(deterministic=True) == content
    floats = {key: list(own.features.feature[f"image/object/bbox/{key}"].float_list.value) for key in ("xmin", "ymax")}
    assert floats == {"xmin": [np.float32(1 / 40), 0.0], "ymax": [np.float32(4 / 30), 1.0]}
    assert list(own.features.feature["image/object/class/label"].int64_list.value) == [2, 300]


def test_odd_features_have_the_bytes_of_tensorflow_s_own(tf):
    train = tf.train
    ints, floats, texts = [-1, 2**63 - 1, -(2**63), 0], [0.1, float("inf")], [b"", b"x" * 20000]
    odd = {
        "z": (int_feature(ints), train.Feature(int64_list=train.Int64List(value=ints))),
        "ä" * 90: (float_feature(floats), train.Feature(float_list=train.FloatList(value=floats))),
        "a": (bytes_feature(texts), train.Feature(bytes_list=train.BytesList(value=texts))),
        "b": (int_feature([]), train.Feature(int64_list=train.Int64List())),
    }
    own = train.Example(features=train.Features(feature={key: feature for key, (_, feature) in odd.items()}))
    assert example_bytes({key: ours for key, (ours, _) in odd.items()}) == own.SerializeToString(deterministic=True)


def test_a_record_file_has_the_bytes_of_tensorflow_s_own(tf, tmp_path):
    payloads = [b"one", b"", b"x" * 5000]
    with tf.io.TFRecordWriter(str(tmp_path / "own")) as own:
        for payload in payloads:
            own.write(payload)
    write_shard(tmp_path / "ours", ((payload,) for payload in payloads))
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "own").read_bytes()
    assert list(RecordIndex([tmp_path / "own"], pattern="")) == payloads


def test_the_od_api_decodes_every_record_found_by_the_pattern(tf, tmp_path):
    from object_detection.data_decoders.tf_example_decoder import TfExampleDecoder

    found = prepared(tmp_path)
    decoder = TfExampleDecoder(label_map_proto_file=str(found.label_map))
    decoded = []
    for pattern in (found.train_records, found.validation_records):
        assert len(tf.io.gfile.glob(pattern)) == 1
        decoded += [decoder.decode(record) for record in tf.data.TFRecordDataset(tf.io.gfile.glob(pattern))]
    assert [each["source_id"].numpy() for each in decoded] == [b"1", b"2", b"3", b"4"]
    assert [each["filename"].numpy() for each in decoded] == [b"a.jpg", b"b.jpg", b"c.png", b"d.bmp"]
    corners = [[2 / 30, 1 / 40, 4 / 30, 3.3 / 40], [0, 0, 1, 1]]
    for number, each in enumerate(decoded):
        boxes = np.zeros((0, 4)) if number == 1 else np.array(corners)
        assert np.allclose(each["groundtruth_boxes"].numpy(), boxes, atol=1e-7)
        assert each["groundtruth_classes"].numpy().tolist() == ([] if number == 1 else [2, 1])
        assert each["groundtruth_is_crowd"].numpy().tolist() == ([] if number == 1 else [False, True])
        assert np.allclose(each["groundtruth_area"].numpy(), [] if number == 1 else [4.6, 1200])
    for each in decoded[2:]:
        assert np.array_equal(each["image"].numpy(), PIXELS)


NAMES = ("nose", "left ear", "tail")
NOSE, TAIL = Keypoint("nose", 4, 3, 2), Keypoint("tail", 39.5, 28, 1)
POLYGON = Polygons(((2, 3, 30, 5, 12, 25), (20, 10, 38, 10, 38, 28, 20, 28)))
RUNS = RunLengths(30, 40, (600, 300, 10, 290))
LABELLED = (
    Box("cat", 1, 2, 39, 29, mask=POLYGON, keypoints=(TAIL, NOSE, Keypoint("left ear", 7, 7, 0))),
    Box("cat", 0, 0, 40, 30, is_crowd=True, mask=RUNS),
    Box("dög", 5, 6, 20, 16, keypoints=(Keypoint("nose", 0, 0, 1),)),
)
KEYPOINT_LABEL_MAP = """
item {{ id: 1 name: "dög" }}
item {{ id: 2 name: "cat" {keypoints} }}
"""


@pytest.mark.parametrize("boxes", [LABELLED, LABELLED[2:], ()])
@pytest.mark.parametrize("names", [NAMES, NAMES[::-1]])
@pytest.mark.parametrize("by_name", [False, True])
def test_the_od_api_decodes_masks_and_keypoints(tf, tmp_path, boxes, names, by_name):
    from object_detection.data_decoders.tf_example_decoder import TfExampleDecoder
    from object_detection.protos import input_reader_pb2

    each = image(tmp_path / "a.jpg", boxes)
    record = image_example(
        each,
        each.image_path.read_bytes(),
        sha256="ab",
        label_ids={"dög": 1, "cat": 2},
        source_id=1,
        has_masks=True,
        keypoints=KeypointSlots({"cat": names}),
    )
    own = tf.train.Example.FromString(record)
    assert own.SerializeToString(deterministic=True) == record
    label_map = tmp_path / "label_map.pbtxt"
    keypoints = " ".join(f'keypoints {{ id: {number} label: "{name}" }}' for number, name in enumerate(NAMES))
    label_map.write_text(KEYPOINT_LABEL_MAP.format(keypoints=keypoints))
    decoded = TfExampleDecoder(
        load_instance_masks=True,
        instance_mask_type=input_reader_pb2.PNG_MASKS,
        label_map_proto_file=str(label_map),
        num_keypoints=3,
        use_keypoint_label_map=by_name,
    ).decode(tf.constant(record))
    masks = [mask_pixels(box, height_px=30, width_px=40) for box in boxes]
    assert np.array_equal(decoded["groundtruth_instance_masks"].numpy(), np.reshape(masks, (-1, 30, 40)))
    cats = [(row, box) for row, box in enumerate(boxes) if box.class_name == "cat"]
    points = {(row, point.name): point for row, box in cats for point in box.keypoints if point.visibility}
    order = NAMES if by_name else names
    wanted = [[points.get((row, name)) for name in order] for row in range(len(boxes))]
    visible = np.array([[point is not None for point in row] for row in wanted], bool).reshape(-1, 3)
    places = [[(point.y_px / 30, point.x_px / 40) if point else (np.nan,) * 2 for point in row] for row in wanted]
    assert np.array_equal(decoded["groundtruth_keypoint_visibilities"].numpy(), visible)
    assert np.allclose(decoded["groundtruth_keypoints"].numpy(), np.reshape(places, (-1, 3, 2)), equal_nan=True)


def test_a_coco_file_becomes_the_record_of_the_od_api_s_own_converter(tf, tmp_path):
    create = pytest.importorskip("object_detection.dataset_tools.create_coco_tf_record")
    image(tmp_path / "a.jpg")
    names = [name.decode() for name in create._COCO_KEYPOINT_NAMES]
    person = {"id": 4, "name": "person", "keypoints": names}
    crowd = {"size": [30, 40], "counts": [600, 300, 10, 290]}
    seen = [
        number for place in range(17) for number in ((place + 1.5, place, 1 + place % 2) if place % 3 else (0, 0, 0))
    ]
    common = {"image_id": 9, "category_id": 4, "iscrowd": 0, "area": 517.25}
    annotations = [
        common | {"id": 1, "bbox": [1, 2, 30.5, 20], "segmentation": list(map(list, POLYGON.rings_px))},
        common | {"id": 2, "bbox": [15, 0, 10, 30], "segmentation": crowd, "iscrowd": 1},
        common | {"id": 3, "bbox": [0, 0, 40, 30], "segmentation": [[0, 0, 40, 0, 40, 30, 0, 30]]},
    ]
    keypoints = {1: {"keypoints": seen, "num_keypoints": 11}}
    stated = {"id": 9, "file_name": "a.jpg", "width": 40, "height": 30}
    theirs = create.create_tf_example(stated, annotations, str(tmp_path), {4: person}, True, keypoints)[1]

    held = [each | {"keypoints": seen} if each["id"] == 1 else each for each in annotations]
    (tmp_path / "a.json").write_text(json.dumps({"images": [stated], "annotations": held, "categories": [person]}))
    files = Listing.of(tmp_path, ("a.jpg", "a.json"))
    (read,) = read_coco(files, ProblemLog())
    boxes = tuple(
        Box(
            each.class_name,
            *(each.xmin_px, each.ymin_px, each.xmax_px, each.ymax_px),
            is_crowd=each.is_crowd,
            mask=each.mask,
            keypoints=each.keypoints,
            stated_area_px=each.area_px,
        )
        for each in read.boxes
    )
    proven = image(tmp_path / "a.jpg", boxes)
    content = image_example(
        proven,
        proven.image_path.read_bytes(),
        sha256=proven.sha256,
        label_ids={"person": 1},
        source_id=9,
        has_masks=True,
        keypoints=KeypointSlots({"person": tuple(names)}),
    )
    ours, wanted = tf.train.Example.FromString(content).features.feature, theirs.features.feature
    assert set(wanted) - set(ours) == set()
    for key in set(wanted) - {"image/object/mask"}:
        assert ours[key] == wanted[key], key
    masks = [
        [tf.io.decode_png(png).numpy()[..., 0] > 0 for png in each["image/object/mask"].bytes_list.value]
        for each in (ours, wanted)
    ]
    assert len(masks[0]) == 3
    assert np.array_equal(*masks)


def test_the_od_api_reads_the_label_map(tf, tmp_path):
    from object_detection.utils import label_map_util

    classes = ["dög", "cat", 'a "b" \\ c', "two\nlines"]
    path = tmp_path / "label_map.pbtxt"
    path.write_text(label_map_text(classes), encoding="utf-8")
    assert label_map_util.get_label_map_dict(str(path)) == label_ids(classes)
    assert label_map_util.get_max_label_map_index(label_map_util.load_labelmap(str(path))) == 4


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *(("JPEG", mode) for mode in ("RGB", "L", "CMYK", "1")),
        *(("PNG", mode) for mode in ("RGB", "L", "P", "RGBA", "LA", "I;16", "1")),
        *(("GIF", mode) for mode in ("RGB", "L", "P", "RGBA")),
        *(("BMP", mode) for mode in ("RGB", "L", "P", "RGBA", "1")),
        *(("WEBP", mode) for mode in ("RGB", "RGBA")),
        *(("TIFF", mode) for mode in ("RGB", "L", "CMYK", "I;16")),
    ],
)
def test_whatever_is_stored_tensorflow_decodes_to_pillow_s_pixels(tf, tmp_path, kind, mode):
    path = tmp_path / "image"
    picture = Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(PIXELS)
    (picture if mode == "I;16" else picture.convert(mode)).save(path, kind)
    content = path.read_bytes()
    stored = content if inspect_image(content).plain else as_stored(content)
    pixels = tf.io.decode_image(stored, channels=3, expand_animations=False).numpy()
    # Of 16 bits TensorFlow takes the upper ones, as odrun does, and Pillow's conversion does not.
    wanted = PIXELS[..., :1] if mode == "I;16" else np.asarray(Image.open(io.BytesIO(stored)).convert("RGB"))
    assert pixels.shape == (30, 40, 3)
    assert np.abs(pixels - wanted.astype(int)).max() <= (8 if kind == "JPEG" else 0)


def test_the_od_api_finds_the_keypoints_of_each_class_in_the_label_map(tf, tmp_path):
    from object_detection.utils import label_map_util

    slots = KeypointSlots({"dog": ("nose", "tail"), 'a "cat"': ("nose",)})
    path = tmp_path / "label_map.pbtxt"
    path.write_text(label_map_text(["dog", "bird", 'a "cat"'], slots), encoding="utf-8")
    items = {item.name: item for item in label_map_util.load_labelmap(str(path)).item if item.keypoints}
    assert {name: [(point.id, point.label) for point in item.keypoints] for name, item in items.items()} == {
        "dog": [(0, "nose"), (1, "tail")],
        'a "cat"': [(2, "nose")],
    }
    assert read_keypoints(path) == slots
