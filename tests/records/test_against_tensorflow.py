"""Records and label maps against TensorFlow's and the OD API's own code, in one process."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from odrun import compat
from odrun.annotations.images import as_png, inspect_image
from odrun.annotations.model import AnnotatedImage, Box, DataSet
from odrun.records.example import bytes_feature, example_bytes, float_feature, image_example, int_feature
from odrun.records.index import RecordIndex
from odrun.records.label_map import label_ids, label_map_text
from odrun.records.manifest import load
from odrun.records.shards import write_shards
from odrun.records.writer import write_records

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
    data = DataSet(
        ("dög", "cat"),
        (image(tmp_path / "a.jpg"), image(tmp_path / "b.jpg", ())),
        (image(tmp_path / "c.png", kind="PNG"), image(tmp_path / "d.bmp", kind="BMP")),
    )
    folder = tmp_path / "records [of] 1*"
    folder.mkdir()
    write_records(data, folder, fingerprint="", problems={}, workers=1)
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
    ours = write_shards(tmp_path, "x", payloads, count=3, shards=1)[0]
    assert ours.read_bytes() == (tmp_path / "own").read_bytes()
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
    stored = content if inspect_image(path).plain else as_png(content)
    pixels = tf.io.decode_image(stored, channels=3, expand_animations=False).numpy()
    wanted = np.asarray(Image.open(io.BytesIO(stored)).convert("RGB")).astype(int)
    assert pixels.shape == (30, 40, 3)
    assert np.abs(pixels - wanted).max() <= (8 if kind == "JPEG" else 0)
