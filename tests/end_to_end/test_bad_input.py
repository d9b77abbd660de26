"""Input as users get it wrong, through the command line: what they read, the exit status, and what is left behind.

Most answers are taken within this process, by `odrun.cli.run`; where the terminal, the file system or TensorFlow itself
matters, the console script is run.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from odrun import cli

ODRUN = str(Path(sys.executable).with_name("odrun"))
NOISE = ("Traceback", "TensorFlow binary", "oneDNN", "cuda", "WARNING", "usage: odrun", "\x1b")
OK_BOX = (1, 2, 30, 20)


@dataclass(frozen=True)
class Answer:
    """What a command line was answered: `left` are the files that it left behind in the working directory."""

    status: int
    out: str
    err: str
    left: tuple[str, ...]

    def refusal(self) -> str:
        """The one message of a refusal, proven to be nothing but that, with nothing left behind."""
        assert self.status == 2, self
        assert self.err.startswith("odrun: ")
        assert self.err.count("odrun: ") == 1
        assert not [word for word in NOISE if word in self.out + self.err]
        assert self.left == ()
        return self.err


Ask = Callable[..., Answer]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory; the user's cache and what has to be there before lie beside it."""
    folder = tmp_path / "place"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in [*os.environ]:
        if name.startswith(("WANDB", "TF_", "ODRUN")):
            monkeypatch.delenv(name)
    return folder


@pytest.fixture
def ask(place: Path, capfd: pytest.CaptureFixture[str]) -> Ask:
    """Runs a command line in `place`, within this process."""

    def run(*arguments: str) -> Answer:
        status = cli.run(arguments)
        out, err = capfd.readouterr()
        return Answer(status, out, err, left_in(place, place.parent / "cache"))

    return run


@pytest.fixture
def script(place: Path) -> Ask:
    """Runs the console script in `place`; `before` is a program that runs it in turn."""

    def run(*arguments: str, before: Iterable[str] = (), **options: object) -> Answer:
        settings = {"capture_output": True} | options
        done = subprocess.run([*before, ODRUN, *arguments], cwd=place, text=True, check=False, timeout=120, **settings)
        return Answer(done.returncode, done.stdout, done.stderr, left_in(place, place.parent / "cache"))

    return run


def left_in(*folders: Path) -> tuple[str, ...]:
    """The files below `folders`, and run directories; locks, digests and lists of problems stay in the cache."""
    found = [path for folder in folders for path in folder.rglob("*")]
    runs = [path for path in found if path.parent.parent.name == "outputs" or path.name in ("train", "sweeps")]
    kept = [path for path in found if path.suffix == ".lock" or path.parent.name in ("digests", "problems")]
    return tuple(sorted(str(path) for path in found if (path.is_file() and path not in kept) or path in runs))


def jpeg(shade: int = 0) -> bytes:
    stream = io.BytesIO()
    Image.linear_gradient("L").rotate(shade).resize((40, 30)).convert("RGB").save(stream, "JPEG")
    return stream.getvalue()


def xml(image: str, *boxes: tuple[object, ...], name: str = "cat", width: int = 40) -> str:
    objects = "".join(
        f"\n<object><name>{name}</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>"
        for a, b, c, d in boxes
    )
    size = f"<size><width>{width}</width><height>30</height></size>"
    return f"<annotation><filename>{image}</filename>{size}{objects}\n</annotation>"


def pets(folder: Path) -> Path:
    """A sound data set of 4 images with the classes cat and dog."""
    folder.mkdir(parents=True)
    for number in range(4):
        (folder / f"{number}.jpg").write_bytes(jpeg(90 * number))
        (folder / f"{number}.xml").write_text(xml(f"{number}.jpg", OK_BOX, name=("cat", "dog")[number % 2]))
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return pets(tmp_path / "pets")


ENTRY = "model=ssd_mobilenet_v2_fpnlite_320x320"
SSD = "pipeline.model.ssd"
OPTIMIZER = "pipeline.train_config.optimizer"
CONFIG_FAULTS = [
    ("trian", "there is no command 'trian'", "did you mean train"),
    ("train dataset=vok", "dataset has no option vok", "did you mean voc"),
    ("train modle=x", "there is no modle", "did you mean model"),
    ("train train.stepz=3", "there is no train.stepz", "did you mean steps"),
    ("train train.steps=many", "train.steps is 'many', where a whole number is meant", "train.steps=VALUE"),
    ("train train.steps=0", "train.steps is 0; it has to be 1 or more", "set train.steps=VALUE"),
    ("train train.learning_rate=nan", "train.learning_rate is nan", "set train.learning_rate=VALUE"),
    (
        "train eval.metric=AP5",
        "eval.metric is 'AP5', which is neither a COCO metric nor a validation loss",
        "did you mean AP75 or AP50",
    ),
    ("train dataset.classes=[a,a]", "dataset.classes names the class 'a' twice", "set dataset.classes=null"),
    ("train dataset=voc", "dataset.path is not given", "dataset.path=DIR, the folder of your images"),
    ("train --foo", "the flags of this command line cannot be read: unrecognized arguments: --foo", "--hydra-help"),
    ("train --config-dir nowhere", "there is no such folder", "--config-dir DIR"),
    (f"train {SSD}.numclasses=3", f"{SSD}.numclasses is not a field of the OD API", "did you mean num_classes"),
    (f"train {SSD}.add_background_class=true", "a field of the OD API that this model leaves unset", f"+{SSD}.add_b"),
    (f"train {ENTRY} +{OPTIMIZER}.adam_optimizer={{}}", "has momentum_optimizer and adam_optimizer", "optimizer=null"),
    (f"train {SSD}.post_processing.score_converter=SIGMOYD", "which is not a value of it", "did you mean SIGMOID"),
    (f"train {SSD}=null", "pipeline.model names no architecture", "model=NAME"),
    (f"train {OPTIMIZER}=null", "optimizer is not set", "momentum_optimizer"),
    ("train --cfg job train.stepz=3", "there is no train.stepz", "did you mean steps"),
    (
        "train -m train.steps=5,0,7",
        "1 of the sweep's 3 trials cannot run, so none was started",
        "set train.steps=VALUE",
    ),
    ("predict", "run and source are not given", "run=DIR, the directory of a finished odrun train"),
    ("predict run=a source=b min_score=2", "min_score is 2.0; it has to be between 0 and 1", "set min_score=VALUE"),
    (
        "train model.checkpoint=zoo",
        "starts from the weights of its zoo archive, and no archive is given",
        "model.checkpoint=none",
    ),
    (f"train {ENTRY} zoo.mirror=nowhere", "the mirror is neither a folder nor an http(s) address", "zoo.mirror=DIR"),
    (f"train {ENTRY} zoo.mirror=.", "the mirror does not have", "by hand and put it at"),
    ("train zoo.miror=.", "there is no zoo.miror", "did you mean mirror"),
    ("train model.checkpoint=nowhere", "is not a complete TensorFlow 2 checkpoint", "model.checkpoint=none"),
]


@pytest.mark.parametrize(("line", "what", "remedy"), CONFIG_FAULTS)
def test_a_wrong_command_line_is_answered_with_fault_and_remedy(line: str, what: str, remedy: str, ask: Ask) -> None:
    # A second fault, found after all of these, so that a miss is told and not trained.
    second = ["model.checkpoint=nowhere"] if line.startswith("train ") and "zoo" not in line else []
    told = ask(*line.split(), *second).refusal()
    assert what in told
    assert remedy in told.partition("  remedy: ")[2]


def test_a_path_with_signs_is_answered_with_the_form_that_works(tmp_path: Path, ask: Ask) -> None:
    folder = pets(tmp_path / "a=b [c] {d}, (é) 'q'")
    (folder / "0.xml").write_text("<annotation>")
    told = ask("train", "train.steps=1", "dataset=voc", f"dataset.path={folder}").refusal()
    assert "cannot be read as it stands: = [ ] { } ( é ) ' has to stand within quotes" in told
    (typed,) = shlex.split(told.partition("quote it: ")[2])
    assert (
        f"{folder / '0.xml'}:1: is not well-formed XML" in ask("train", "train.steps=1", "dataset=voc", typed).refusal()
    )


DATA_FAULTS = {
    "malformed_annotation": (jpeg(), xml("bad.jpg", OK_BOX)[:-4]),
    "doctype": (jpeg(), '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + xml("bad.jpg", OK_BOX, name="&x;")),
    "missing_image": (None, xml("bad.jpg", OK_BOX)),
    "inverted_box": (jpeg(), xml("bad.jpg", (30, 2, 1, 20))),
    "empty_box": (jpeg(), xml("bad.jpg", (1, 2, 1, 20))),
    "outside_box": (jpeg(), xml("bad.jpg", (1, 2, 55, 20))),
    "bad_number": (jpeg(), xml("bad.jpg", ("nan", 2, 30, 20))),
    "unknown_class": (jpeg(), xml("bad.jpg", OK_BOX, name="dgo")),
    "empty_class": (jpeg(), xml("bad.jpg", OK_BOX, name=" ")),
    "undecodable_image": (jpeg()[:300], xml("bad.jpg", OK_BOX)),
    "size_mismatch": (jpeg(), xml("bad.jpg", OK_BOX, width=41)),
}


@pytest.mark.parametrize("fault", DATA_FAULTS)
def test_a_fault_in_the_data_is_named_with_its_file_and_remedy(fault: str, data: Path, ask: Ask) -> None:
    image, annotation = DATA_FAULTS[fault]
    if image is not None:
        (data / "bad.jpg").write_bytes(image)
    (data / "bad.xml").write_text(annotation)
    told = ask("train", "train.steps=1", "dataset=voc", f"dataset.path={data}", "dataset.classes=[cat,dog]").refusal()
    assert told.startswith("odrun: The data set has 1 fault; nothing was written.\n")
    assert f"1 {fault}  " in told
    assert f"\n  {data}/bad." in told
    assert f"\n  remedy: {fault}: " in told
    assert "root:" not in told


@pytest.mark.parametrize(
    ("link", "target", "what"),
    [
        ("self.jpg", "self.jpg", "self.jpg: cannot be read: Too many levels of symbolic links"),
        ("gone.jpg", "nowhere.jpg", "gone.jpg: cannot be read: No such file or directory"),
        ("endless.jpg", "/dev/zero", "endless.xml:1: names the image 'endless.jpg', which is not there"),
    ],
)
def test_a_link_that_leads_to_no_image_is_named_and_not_followed_for_ever(
    link: str, target: str, what: str, data: Path, ask: Ask
) -> None:
    (data / link).symlink_to(target)
    if target == "/dev/zero":
        (data / "endless.xml").write_text(xml(link, OK_BOX))
    (data / "loop").symlink_to(data, target_is_directory=True)
    told = ask("prepare", "dataset=folder", f"dataset.path={data}").refusal()
    assert "The data set has 1 fault" in told
    assert what in told


def test_a_table_without_a_needed_column_is_named_though_the_format_was_to_be_found_out(
    tmp_path: Path, ask: Ask
) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg())
    (tmp_path / "labels.csv").write_text("filename,width,height,class,xmin,ymin,xmax\na.jpg,40,30,cat,1,2,30\n")
    told = ask("prepare", "dataset=folder", f"dataset.path={tmp_path}").refusal()
    assert f"{tmp_path / 'labels.csv'}:1: has no column ymax" in told


def test_many_faults_are_counted_and_the_first_twenty_are_shown(data: Path, ask: Ask) -> None:
    for number in range(30):
        (data / f"b{number}.jpg").write_bytes(jpeg(number))
        (data / f"b{number}.xml").write_text(xml(f"b{number}.jpg", (30, 2, 1, 20), (5, 5, 5, 9)))
    (data / "z.xml").write_text("<annotation>")
    told = ask("train", "train.steps=1", "dataset=voc", f"dataset.path={data}").refusal()
    assert "The data set has 61 faults" in told
    assert [line.split()[:2] for line in told.splitlines()[1:4]] == [
        ["30", "empty_box"],
        ["30", "inverted_box"],
        ["1", "malformed_annotation"],
    ]
    assert told.count(".xml:") == 20
    assert f"{data / 'z.xml'}:1: is not well-formed XML" in told
    assert "\n  and 41 more\n" in told


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("nowhere", "The data set's folder is not there: "),
        ("file", "the archive is damaged or not a .tar.gz, .tar or .zip: empty file"),
        ("empty", "The data set's folder has no annotated image"),
        ("unlabelled", "found 1 images without annotations"),
    ],
)
def test_a_folder_that_holds_no_data_set_is_refused(kind: str, what: str, tmp_path: Path, ask: Ask) -> None:
    folder = tmp_path / "images"
    if kind == "file":
        folder.touch()
    elif kind != "nowhere":
        folder.mkdir()
    if kind == "unlabelled":
        (folder / "a.jpg").write_bytes(jpeg())
    told = ask("train", "train.steps=1", "dataset=voc", f"dataset.path={folder}").refusal()
    assert what in told
    assert str(folder) in told
    assert "  remedy: set dataset.path" in told
    if kind == "nowhere":
        assert f"  where:  dataset.path (command line: dataset.path={folder})\n" in told


@pytest.mark.parametrize(
    ("key", "path", "what"),
    [
        ("paths.outputs", "FILE", "the run directory cannot be made: not a directory"),
        ("paths.outputs", "FILE/below", "the run directory cannot be made: not a directory"),
        ("paths.outputs", "/proc/odrun", "the run directory cannot be made: no such file or directory"),
        ("paths.cache", "FILE", "The cache cannot be written: a file stands where a folder is needed."),
        ("paths.cache", "FILE/below", "The cache cannot be written: a file stands where a folder is needed."),
        ("paths.cache", "/proc/odrun", "The cache cannot be written: No such file or directory."),
    ],
)
def test_a_place_that_cannot_be_written_is_named_with_the_key_that_moves_it(
    key: str, path: str, what: str, data: Path, tmp_path: Path, ask: Ask
) -> None:
    (tmp_path / "file").touch()
    place = path.replace("FILE", str(tmp_path / "file"))
    told = ask("train", "train.steps=1", "dataset=voc", f"dataset.path={data}", f"{key}={place}").refusal()
    assert what in told
    assert place in told.partition("  where:  ")[2]
    assert f"{key}=DIR" in told.partition("  remedy: ")[2]
    assert (tmp_path / "file").read_bytes() == b""


OWN_MOUNT = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")


@pytest.fixture(scope="session")
def mountable() -> None:
    """Skips where a process may not mount a disk of its own, which goes away with it."""
    test = [*OWN_MOUNT, "mount -t tmpfs tmpfs /mnt"]
    if shutil.which("unshare") is None or subprocess.run(test, capture_output=True, check=False).returncode != 0:
        pytest.skip("no own mounts for an ordinary process")


@pytest.mark.usefixtures("mountable")
@pytest.mark.parametrize(
    ("mount", "key", "what"),
    [
        ("size=1m", "paths.outputs", "the disk has 1 MB left and the run needs 500 MB"),
        ("size=1m", "paths.cache", "The disk of the cache has too little room: 20.1 MB are needed, 1.0 are free."),
        ("ro", "paths.outputs", "the run directory cannot be made: read-only file system"),
        ("ro", "paths.cache", "The cache cannot be written: Read-only file system."),
    ],
)
def test_a_small_or_read_only_disk_is_refused_before_anything_is_written(
    mount: str, key: str, what: str, tmp_path: Path, script: Ask
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    list_files = f'status=$?; find {disk} -type f ! -name "*.lock"; exit $status'
    line = f'mount -t tmpfs -o {mount} tmpfs {disk} && "$0" "$@"; {list_files}'
    # A second fault, found after the first, so that nothing is trained should the first be missed.
    second = ["model.checkpoint=nowhere"] if key == "paths.outputs" else []
    answer = script("train", f"{key}={disk}", *second, before=(*OWN_MOUNT, line))
    told = answer.refusal()
    assert what in told
    assert str(disk) in told
    assert f"{key}=DIR" in told
    assert str(disk) not in answer.out


GOOD_ARCHIVE = {"m/checkpoint/ckpt-0.index": b"i" * 500, "m/checkpoint/ckpt-0.data-00000-of-00001": b"d" * 5000}


def archive(path: Path, files: dict[str, bytes], extra: tarfile.TarInfo | None = None) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        if extra is not None:
            tar.addfile(extra)
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda path: None, "the archive cannot be read: no such file or directory"),
        (
            lambda path: path.write_text("<html>404</html>"),
            "the archive is a web page, and has to be a .zip, .tar or .tar.gz",
        ),
        (lambda path: path.write_bytes(archive(path, GOOD_ARCHIVE).read_bytes()[:-40]), "the archive is damaged"),
        (lambda path: archive(path, GOOD_ARCHIVE, member("m/../../../evil")), "has a member outside of itself"),
        (lambda path: archive(path, GOOD_ARCHIVE, member("/evil")), "has a member outside of itself, '/evil'"),
        (lambda path: archive(path, GOOD_ARCHIVE, member("m/x", tarfile.SYMTYPE)), "has a link or device, 'm/x'"),
        (lambda path: archive(path, GOOD_ARCHIVE, member("m/x", tarfile.CHRTYPE)), "has a link or device, 'm/x'"),
        (lambda path: archive(path, {"m/saved_model/x": b""}), "the archive holds no checkpoint/ckpt-0.index"),
    ],
)
def test_an_archive_that_is_absent_damaged_hostile_or_empty_is_refused_and_not_kept(
    make: Callable[[Path], object], what: str, tmp_path: Path, ask: Ask
) -> None:
    path = tmp_path / "model.tar.gz"
    make(path)
    told = ask("train", ENTRY, f"model.archive={path}", "dataset=voc", "dataset.path=nowhere").refusal()
    assert what in told
    assert str(path) in told.partition("  where:  ")[2]
    assert ".tar.gz" in told.partition("  remedy: ")[2]


def run_directory(path: Path) -> Path:
    """A folder that looks like a run of `odrun train` that has not got to its export."""
    path.mkdir(parents=True)
    (path / "config.yaml").write_text("")
    (path / "pipeline.config").write_text("")
    (path / "label_map.pbtxt").write_text('item { id: 1 name: "cat" }')
    return path


@pytest.mark.parametrize(
    ("run", "source", "what", "remedy"),
    [
        ("nowhere", "image.jpg", "there is no such folder", "run=outputs/train/NAME"),
        ("image.jpg", "image.jpg", "image.jpg is a file, not a run directory", "run=outputs/train/NAME"),
        ("runs", "image.jpg", "this folder is not a run of odrun train", "run={}/runs/a"),
        ("runs/a", "nowhere", "there is no such file, folder or match", "name a file, folder or glob with images"),
        ("runs/a", "*.png", "there is no such file, folder or match", "name a file, folder or glob with images"),
        ("runs/a", "runs", "there is no image to detect in", "name a file, folder or glob with images"),
    ],
)
def test_predict_names_what_is_no_run_or_no_image(
    run: str, source: str, what: str, remedy: str, tmp_path: Path, ask: Ask
) -> None:
    run_directory(tmp_path / "runs" / "a")
    (tmp_path / "image.jpg").write_bytes(jpeg())
    told = ask("predict", f"run={tmp_path / run}", f"source={tmp_path / source}").refusal()
    assert what in told
    assert remedy.format(tmp_path) in told.partition("  remedy: ")[2]


def test_a_run_without_export_is_refused_without_a_word_of_tensorflow(tmp_path: Path, script: Ask) -> None:
    run = run_directory(tmp_path / "run")
    (tmp_path / "image.jpg").write_bytes(jpeg())
    told = script("predict", f"run={run}", f"source={tmp_path / 'image.jpg'}").refusal()
    assert f"  where:  {run / 'export' / 'saved_model'}\n" in told
    assert "  remedy: give a run that was completed with run=DIR" in told


@pytest.mark.slow
def test_tensorflow_with_keras_3_already_imported_is_refused_with_the_remedy(place: Path, data: Path) -> None:
    program = "import tensorflow, odrun.cli, sys; sys.exit(odrun.cli.run(sys.argv[1:]))"
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            program,
            "train",
            "train.steps=1",
            "dataset=voc",
            f"dataset.path={data}",
            "paths.cache=../records",
        ],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    told = Answer(done.returncode, done.stdout, done.stderr, left_in(place)).refusal()
    assert "its tf.keras is Keras 3, on which the Object Detection API does not run." in told
    assert "  remedy: import odrun.compat and call its load() before TensorFlow, or start Python with TF_USE" in told


@pytest.mark.parametrize(
    "arguments", [("--help",), ("train", "--help"), ("train", "--cfg", "job"), ("train", "--info", "all")]
)
def test_a_reader_that_goes_away_early_is_left_in_peace(arguments: tuple[str, ...], script: Ask) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    answer = script(*arguments, capture_output=False, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (answer.status, answer.err, answer.left) == (0, "", ())


def test_a_folder_that_has_its_own_conf_and_modules_is_not_taken_for_odruns(place: Path, script: Ask) -> None:
    (place / "conf" / "dataset").mkdir(parents=True)
    (place / "conf" / "train.yaml").write_text("nonsense: [")
    (place / "conf" / "dataset" / "digits.yaml").write_text("name: mine\n")
    (place / "odrun").mkdir()
    for name in ("odrun/__init__.py", "hydra.py", "yaml.py", "tensorflow.py"):
        (place / name).write_text("raise SystemExit(99)\n")
    answer = script("train", "--cfg", "job")
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.startswith("dataset:\n  name: digits\n  format: digits\n")


def test_options_of_ones_own_come_from_a_named_folder(tmp_path: Path, ask: Ask) -> None:
    for name, text in {
        "dataset/mine": f"defaults: [voc]\nname: mine\npath: {tmp_path}/nowhere\n",
        "experiment/first": "# @package _global_\ndefaults:\n  - override /dataset: mine\ntrain: {steps: 7}\n",
        "experiment/wrong": "# @package _global_\ntrain: {steps: -7}\n",
    }.items():
        file = tmp_path / "own" / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    own = f"--config-dir={tmp_path / 'own'}"
    shown = ask("train", own, "experiment=first", "--cfg", "job")
    assert (shown.status, "  name: mine\n" in shown.out, "  steps: 7\n" in shown.out) == (0, True, True)
    assert f"not there: {tmp_path}/nowhere\n" in ask("train", own, "experiment=first").refusal()
    assert "train.steps is -7; it has to be 1 or more\n" in ask("train", own, "experiment=wrong").refusal()
    assert "experiment has no option firts\n" in ask("train", own, "experiment=firts").refusal()


@pytest.mark.skipif(shutil.which("script") is None, reason="the system has no script(1) to make a terminal")
@pytest.mark.parametrize(("setting", "colours"), [("TERM=xterm-256color", True), ("NO_COLOR=1", False)])
def test_on_a_terminal_no_color_is_respected(setting: str, colours: bool, data: Path, place: Path) -> None:
    (data / "0.xml").write_text("<annotation>")
    line = shlex.join([ODRUN, "train", "train.steps=1", "dataset=voc", f"dataset.path={data}"])
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "CI", "FORCE_COLOR")}
    name, _, value = setting.partition("=")
    done = subprocess.run(
        ["script", "-qec", line, "/dev/null"],
        cwd=place,
        env={**environment, "TERM": "xterm-256color", "COLUMNS": "100", name: value},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 2
    assert "1 malformed_annotation" in done.stdout
    assert (re.search(r"\x1b\[[0-9;]*3[0-9][;m]", done.stdout) is not None) == colours
    assert left_in(place) == ()


def test_what_a_shell_needs_for_completion_is_printed(script: Ask) -> None:
    answer = script("-sc", "install=bash")
    assert (answer.status, answer.err) == (0, "")
    checked = subprocess.run(["bash", "-n"], input=answer.out, text=True, capture_output=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
