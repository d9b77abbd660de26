from __future__ import annotations

import json
from pathlib import Path

import pytest

from odrun import cli
from odrun.config.location import conf_dir
from odrun.pipeline.official import digest
from odrun.pipeline.text import from_text

GOLDENS = Path(__file__).parent.parent / "goldens"


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.run(["zoo", *arguments]) == 0
    return capsys.readouterr().out


def test_the_list_is_a_table_with_a_line_for_each_model(capsys: pytest.CaptureFixture[str]) -> None:
    heading, *lines, blank, closing = printed(capsys, "list").splitlines()
    assert heading.split()[:4] == ["model", "family", "input", "ms"]
    assert [line.split()[0] for line in lines] == sorted(
        path.stem for path in (conf_dir() / "model").glob("*.yaml") if path.stem != "from_file"
    )
    assert (blank, closing.split(";")[0]) == ("", f"{len(lines)} of {len(lines)} models")


def test_the_list_is_cut_and_sorted(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "list", "--family", "efficientdet", "--max-ms", "100", "--min-map", "35", "--sort", "map")
    assert [line.split()[0] for line in text.splitlines()[1:-2]] == [
        "ssd_efficientdet_d3_896x896",
        "ssd_efficientdet_d2_768x768",
        "ssd_efficientdet_d1_640x640",
    ]
    fastest = json.loads(printed(capsys, "list", "--sort", "ms", "--json"))[0]
    assert (fastest["name"], fastest["speed_ms"]) == ("centernet_mobilenet_v2_fpn_512x512", 6)


def test_a_model_is_shown_with_all_that_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "show", "mask_rcnn_inception_resnet_v2_1024x1024")
    for fact in ("boxes 39.0, masks 34.6", "301 ms", "1024x1024 pixels", "0.008, after 5000 steps from 0", ".tar.gz"):
        assert fact in text
    facts = json.loads(printed(capsys, "show", "extremenet", "--json"))
    assert facts["address"] == "http://download.tensorflow.org/models/object_detection/tf2/20210507/extremenet.tar.gz"
    assert facts["recipe"] is None


def test_the_configuration_that_is_printed_is_the_official_one(capsys: pytest.CaptureFixture[str]) -> None:
    digests = json.loads((GOLDENS / "official_digests.json").read_text(encoding="utf-8"))
    for name in ("faster_rcnn_resnet50_v1_1024x1024", "centernet_hourglass104_512x512_kpts"):
        text = printed(capsys, "config", name)
        assert digest(from_text(text, name=name)) == digests[name]
        assert "data_augmentation_options" in text


def test_the_configuration_in_an_archive_is_printed_from_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(capsys, "config", "ssd_mobilenet_v2_320x320")
    folder = tmp_path / "an archive"
    folder.mkdir()
    (folder / "pipeline.config").write_text(text, encoding="utf-8")
    assert printed(capsys, "config", "extremenet_2020", "--archive", str(folder)) == text


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["show", "ssd_efficientdet_d0"], "there is no model 'ssd_efficientdet_d0'"),
        (["config", "nothing"], "there is no model 'nothing'"),
        (["config", "extremenet"], "the configuration of extremenet is in its archive, which has not been fetched"),
        (["list", "--family", "yolo"], "there is no family 'yolo'"),
        (["list", "--max-ms", "fast"], "argument --max-ms: invalid float value: 'fast'"),
        (["list", "--sort", "beauty"], "argument --sort: invalid choice: 'beauty'"),
        (["list", "--nonsense"], "unrecognized arguments: --nonsense"),
        (["show"], "the following arguments are required: NAME"),
        ([], "the following arguments are required: list|show|config"),
    ],
)
def test_what_is_wrong_is_told_in_one_message(
    arguments: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["zoo", *arguments]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"odrun: {what}")
    assert "  remedy: " in output.err
