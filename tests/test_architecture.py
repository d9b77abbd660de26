"""The house rules of DESIGN and STYLE, read off the syntax trees; each rule is tested with a planted violation."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import odrun

PACKAGE = Path(odrun.__file__).parent
LEVELS = (
    {"errors"},
    {"limits", "model_settings", "settings", "annotations", "runs", "tracking", "transfer"},
    {"compat"},
    {"records", "zoo", "pipeline"},
    {"checks"},
    {"training", "evaluation", "export", "inference"},
    {"sweeps", "report"},
    {"commands"},
    {"config"},
    {"cli", "__main__"},
)
STAGES = {"training", "evaluation", "export", "inference"}
HOMES = {
    "object_detection": {"compat"},
    "official": {"compat"},
    "hydra": {"cli", "config", "sweeps"},
    "omegaconf": {"cli", "config", "sweeps"},
}
WITHOUT_TENSORFLOW = {
    "errors",
    "limits",
    "model_settings",
    "settings",
    "annotations",
    "transfer",
    "records",
    "pipeline",
    "zoo",
    "checks",
    "runs",
    "tracking",
    "report",
}
MODULE_LINES_MAX = 350
FUNCTION_LINES_MAX = 60


@dataclass(frozen=True)
class Import:
    """One import of `target` in `module`; `at_start` when importing the module runs it."""

    module: str
    target: str
    line: int
    at_start: bool

    @property
    def room(self) -> str:
        return room_of(self.module)

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else parts[0]


def modules(package: Path) -> dict[str, ast.Module]:
    found = {}
    for path in sorted(package.rglob("*.py")):
        name = ".".join((package.name, *path.relative_to(package).with_suffix("").parts)).removesuffix(".__init__")
        found[name] = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    return found


def imports(trees: dict[str, ast.Module]) -> list[Import]:
    return [found for module, tree in trees.items() for found in _imports_in(module, tree, at_start=True)]


def _imports_in(module: str, node: ast.AST, *, at_start: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            continue
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(module, alias.name, child.lineno, at_start)
        elif isinstance(child, ast.ImportFrom):
            yield from _from_imports(module, child, at_start=at_start)
        inside = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        yield from _imports_in(module, child, at_start=at_start and not inside)


def _from_imports(module: str, node: ast.ImportFrom, *, at_start: bool) -> Iterator[Import]:
    source = node.module or ""
    if node.level:
        source = ".".join([*module.split(".")[: -node.level], *([source] if source else [])])
    names = [f"{source}.{alias.name}" for alias in node.names] if source == "odrun" else [source]
    for name in names:
        yield Import(module, name, node.lineno, at_start)


def imports_downwards(found: list[Import]) -> list[str]:
    """Imports of a higher room, and of a room that has no level."""
    level = {room: number for number, rooms in enumerate(LEVELS) for room in rooms}
    faults = []
    for item in found:
        if not item.target.startswith("odrun.") or item.room == "odrun":
            continue
        target = room_of(item.target)
        unknown = {item.room, target} - set(level)
        if unknown or (item.room != target and level[target] > level[item.room]):
            faults.append(str(item))
    return faults


def imports_between_stages(found: list[Import]) -> list[str]:
    return [
        str(item)
        for item in found
        if item.target.startswith("odrun.") and {item.room, room_of(item.target)} <= STAGES
        if item.room != room_of(item.target)
    ]


def imports_in_circles(found: list[Import]) -> list[str]:
    pairs = {(item.room, room_of(item.target)) for item in found if item.target.startswith("odrun.")}
    return sorted(f"{one} and {other}" for one, other in pairs if one < other and (other, one) in pairs)


def imports_away_from_home(found: list[Import]) -> list[str]:
    faults = [str(item) for item in found if item.room not in HOMES.get(item.target.partition(".")[0], {item.room})]
    wandb = sorted({item.module for item in found if item.target.partition(".")[0] == "wandb"})
    return faults + (wandb if len(wandb) > 1 or any(room_of(module) != "tracking" for module in wandb) else [])


def imports_of_tensorflow(found: list[Import]) -> list[str]:
    """TensorFlow where it is never wanted, and elsewhere outside the compat room when a module is merely imported."""
    tensorflow = [item for item in found if item.target.partition(".")[0] in ("tensorflow", "tf_keras", "keras")]
    allowed_at_start = {"compat", *STAGES}
    return [
        str(item)
        for item in tensorflow
        if item.room in WITHOUT_TENSORFLOW or (item.at_start and item.room not in allowed_at_start)
    ]


def too_long(trees: dict[str, ast.Module]) -> list[str]:
    faults = []
    for module, tree in trees.items():
        lines = max((getattr(node, "end_lineno", 0) for node in ast.walk(tree)), default=0)
        if lines > MODULE_LINES_MAX:
            faults.append(f"{module} has {lines} lines")
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES_MAX:
                    faults.append(f"{module}.{node.name} has {length} lines")
    return faults


def without_annotations_import(trees: dict[str, ast.Module]) -> list[str]:
    """Modules whose annotations would be evaluated, which fails on Python 3.10 for some of today's."""
    return [
        module
        for module, tree in trees.items()
        if any(getattr(node, "annotation", None) or getattr(node, "returns", None) for node in ast.walk(tree))
        and not any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body)
    ]


TREES = modules(PACKAGE)
IMPORTS = imports(TREES)


@pytest.mark.parametrize(
    "rule",
    [imports_downwards, imports_between_stages, imports_in_circles, imports_away_from_home, imports_of_tensorflow],
)
def test_the_rooms_import_as_the_design_says(rule) -> None:  # type: ignore[no-untyped-def]
    assert rule(IMPORTS) == []


def test_no_module_and_no_function_is_too_long() -> None:
    assert too_long(TREES) == []


def test_every_module_postpones_its_annotations() -> None:
    assert without_annotations_import(TREES) == []


def test_every_room_of_the_house_has_its_level() -> None:
    rooms = {room_of(module) for module in TREES} - {"odrun"}
    assert rooms - set().union(*LEVELS) == set()


def plant(tmp_path: Path, files: dict[str, str]) -> tuple[dict[str, ast.Module], list[Import]]:
    for name, code in files.items():
        path = tmp_path / "odrun" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    trees = modules(tmp_path / "odrun")
    return trees, imports(trees)


@pytest.mark.parametrize(
    ("rule", "files", "fault"),
    [
        (
            imports_downwards,
            {"records/example.py": "from odrun.commands.train import train\n"},
            "odrun.records.example:1 imports odrun.commands.train",
        ),
        (
            imports_downwards,
            {"runs/a.py": "def f():\n    from odrun import cli\n"},
            "odrun.runs.a:2 imports odrun.cli",
        ),
        (imports_downwards, {"runs/a.py": "from ..report import x\n"}, "odrun.runs.a:1 imports odrun.report"),
        (imports_downwards, {"attic/a.py": "import odrun.errors\n"}, "odrun.attic.a:1 imports odrun.errors"),
        (
            imports_between_stages,
            {"training/loop.py": "import odrun.evaluation.coco\n"},
            "odrun.training.loop:1 imports odrun.evaluation.coco",
        ),
        (
            imports_in_circles,
            {"zoo/a.py": "import odrun.records.b\n", "records/b.py": "import odrun.zoo.a\n"},
            "records and zoo",
        ),
        (
            imports_away_from_home,
            {"pipeline/a.py": "from object_detection.protos import pipeline_pb2\n"},
            "odrun.pipeline.a:1 imports object_detection.protos",
        ),
        (imports_away_from_home, {"commands/a.py": "import hydra\n"}, "odrun.commands.a:1 imports hydra"),
        (imports_away_from_home, {"runs/a.py": "import omegaconf.errors\n"}, "odrun.runs.a:1 imports omegaconf.errors"),
        (
            imports_away_from_home,
            {"tracking/a.py": "import wandb\n", "tracking/b.py": "from wandb import Image\n"},
            "odrun.tracking.b",
        ),
        (imports_away_from_home, {"report/a.py": "import wandb\n"}, "odrun.report.a"),
        (
            imports_of_tensorflow,
            {"commands/a.py": "import tensorflow as tf\n"},
            "odrun.commands.a:1 imports tensorflow",
        ),
        (
            imports_of_tensorflow,
            {"records/a.py": "def f():\n    import tensorflow as tf\n"},
            "odrun.records.a:2 imports tensorflow",
        ),
    ],
)
def test_a_planted_import_is_found(rule, files: dict[str, str], fault: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    _, found = plant(tmp_path, files)
    assert fault in rule(found)


@pytest.mark.parametrize(
    ("rule", "files"),
    [
        (imports_downwards, {"commands/a.py": "from odrun import errors\nfrom odrun.records import b\n"}),
        (imports_between_stages, {"training/a.py": "from odrun.training.b import c\n"}),
        (imports_away_from_home, {"tracking/a.py": "import wandb\n", "config/a.py": "import hydra\n"}),
        (imports_of_tensorflow, {"training/a.py": "import tensorflow as tf\n"}),
        (imports_of_tensorflow, {"commands/a.py": "def f():\n    import tensorflow as tf\n"}),
    ],
)
def test_what_is_allowed_is_not_found(rule, files: dict[str, str], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    _, found = plant(tmp_path, files)
    assert rule(found) == []


def test_a_planted_long_module_and_a_long_function_are_found(tmp_path: Path) -> None:
    body = "    x = 1\n" * FUNCTION_LINES_MAX
    trees, _ = plant(tmp_path, {"runs/a.py": f"def f():\n{body}", "runs/b.py": "x = 1\n" * (MODULE_LINES_MAX + 1)})
    assert too_long(trees) == ["odrun.runs.a.f has 61 lines", "odrun.runs.b has 351 lines"]


def test_a_planted_module_without_postponed_annotations_is_found(tmp_path: Path) -> None:
    trees, _ = plant(tmp_path, {"runs/a.py": "x = 1\n", "runs/b.py": "def f() -> int: ...\n"})
    assert without_annotations_import(trees) == ["odrun.runs.b"]
