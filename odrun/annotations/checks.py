"""An image as read → an image proven: its file decoded, every box measured against it and against the classes.

What is wrong is noted, and answered as the policies say: left out (also where the data will be refused for it), mended,
or taken as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from odrun.annotations.border import beyond_px, tolerance_px
from odrun.annotations.classes import ClassMap
from odrun.annotations.digests import FileContent
from odrun.annotations.images import SUFFIXES_OF_FORMAT, ImageFacts, UndecodableImageError, inspect_image
from odrun.annotations.keypoint_checks import checked_keypoints
from odrun.annotations.losses import Loss
from odrun.annotations.model import AnnotatedImage, Box, BoxAsRead, ImageAsRead, Keypoint, Polygons, RunLengths
from odrun.annotations.orientation import upright_box, upright_point
from odrun.annotations.problems import Policies, Policy, Problem, ProblemLog
from odrun.annotations.run_lengths import upright_run_lengths

TINY_PX = 2.0
# Below this, both edges may become the same 32-bit fraction of a large image.
SMALLEST_SIDE_PX = 0.01
_LEFT_OUT = (Policy.ERROR, Policy.DROP)
_Found = tuple[str, str]
"""A fault and what exactly it is."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of an image as read: the proven one, None where it is left out, and what was wrong on the way.

    `losses` explain every difference between what was read and what is kept.
    """

    image: AnnotatedImage | None
    problems: tuple[Problem, ...]
    losses: tuple[Loss, ...]


def check_image(image: ImageAsRead, content: FileContent, classes: ClassMap, policies: Policies) -> Checked:
    """Decode the image, whose file held `content` when it was listed, and keep the boxes that are sound."""
    log = ProblemLog(policies)
    try:
        proven, losses = _proven(image, content, classes, log)
    except _ImageLeftOutError as error:
        return Checked(None, tuple(log.problems), (Loss(error.fault, 1, len(image.boxes)),))
    return Checked(proven, tuple(log.problems), losses)


class _ImageLeftOutError(Exception):
    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault


def _proven(
    image: ImageAsRead, content: FileContent, classes: ClassMap, log: ProblemLog
) -> tuple[AnnotatedImage, tuple[Loss, ...]]:
    facts = _decoded(image, content, log)
    for fault, message in _oddities(image, facts):
        _note(log, fault, image.image_path, message)
    _refuse_other_size(image, facts, log)
    if not image.boxes:
        _note(log, "image_without_boxes", image.image_path, "has no boxes")
    boxes = []
    losses = []
    for box, lost_by in _checked_boxes(_upright(_in_pixels(image, facts), facts), facts, classes, log):
        if box is not None:
            boxes.append(box)
        elif lost_by is not None:
            losses.append(Loss(lost_by, 0, 1))
    proven = AnnotatedImage(
        name=image.name,
        image_path=image.image_path,
        annotation_path=image.annotation_path,
        width_px=facts.width_px,
        height_px=facts.height_px,
        stored_format=facts.stored_format,
        re_encoded=not facts.plain,
        sha256=content.sha256,
        size_bytes=content.size_bytes,
        look=facts.look,
        boxes=tuple(boxes),
        split=image.split,
    )
    return proven, tuple(losses)


def _note(log: ProblemLog, fault: str, file: Path, message: str) -> None:
    if log.add(fault, file, message) in _LEFT_OUT:
        raise _ImageLeftOutError(fault)


def _decoded(image: ImageAsRead, content: FileContent, log: ProblemLog) -> ImageFacts:
    try:
        encoded = image.image_path.read_bytes()
        # Whoever stores the image compares its digest; here its size is enough.
        if len(encoded) != content.size_bytes:
            _note(log, "changed_image", image.image_path, "has changed since it was listed")
        return inspect_image(encoded)
    except OSError as error:
        fault, message = "undecodable_image", f"cannot be read: {error.strerror}"
    except UndecodableImageError as error:
        fault, message = "undecodable_image", str(error)
    log.add(fault, image.image_path, message)
    raise _ImageLeftOutError(fault)


def _oddities(image: ImageAsRead, facts: ImageFacts) -> Iterator[_Found]:
    """What the file is, beside what it shows."""
    kind = facts.file_format.upper()
    if image.image_path.suffix.lower() not in SUFFIXES_OF_FORMAT[facts.file_format]:
        yield "wrong_extension", f"is {kind}"
    if facts.orientation != 1:
        yield "turned_image", f"has the EXIF orientation {facts.orientation}"
    elif not facts.plain:
        yield "re_encoded_image", f"is {kind} of mode {facts.mode}"


def _in_pixels(image: ImageAsRead, facts: ImageFacts) -> ImageAsRead:
    if not image.in_fractions:
        return image
    width_px, height_px = facts.width_px, facts.height_px

    def scaled(box: BoxAsRead) -> BoxAsRead:
        mask = box.mask
        if isinstance(mask, Polygons):
            mask = Polygons(
                tuple(
                    tuple(value * (height_px if number % 2 else width_px) for number, value in enumerate(ring))
                    for ring in mask.rings_px
                )
            )
        return replace(
            box,
            xmin_px=box.xmin_px * width_px,
            ymin_px=box.ymin_px * height_px,
            xmax_px=box.xmax_px * width_px,
            ymax_px=box.ymax_px * height_px,
            mask=mask,
        )

    return replace(image, boxes=tuple(map(scaled, image.boxes)), in_fractions=False)


def _upright(image: ImageAsRead, facts: ImageFacts) -> ImageAsRead:
    """The image with its boxes in the upright frame.

    Where the file is turned, boxes are in the frame of the size that the annotation states; where that does not tell,
    in the upright one, in which viewers and labelling tools show the image.
    """
    turned = (facts.height_px, facts.width_px) if facts.orientation > 4 else (facts.width_px, facts.height_px)
    stated = (image.width_px, image.height_px)
    if facts.orientation < 5 or stated != turned or turned == (facts.width_px, facts.height_px):
        return image

    def moved(box: BoxAsRead) -> BoxAsRead:
        corners = (box.xmin_px, box.ymin_px, box.xmax_px, box.ymax_px)
        xmin_px, ymin_px, xmax_px, ymax_px = upright_box(corners, facts.orientation, *turned)
        mask = box.mask
        if isinstance(mask, RunLengths):
            mask = upright_run_lengths(mask, facts.orientation)
        elif mask is not None:
            mask = Polygons(
                tuple(
                    tuple(
                        number
                        for x_px, y_px in zip(ring[::2], ring[1::2], strict=True)
                        for number in upright_point(x_px, y_px, facts.orientation, *turned)
                    )
                    for ring in mask.rings_px
                )
            )
        keypoints = tuple(
            Keypoint(point.name, *upright_point(point.x_px, point.y_px, facts.orientation, *turned), point.visibility)
            for point in box.keypoints
        )
        return replace(
            box,
            xmin_px=xmin_px,
            ymin_px=ymin_px,
            xmax_px=xmax_px,
            ymax_px=ymax_px,
            mask=mask,
            keypoints=keypoints,
        )

    return replace(
        image, width_px=facts.width_px, height_px=facts.height_px, boxes=tuple(moved(box) for box in image.boxes)
    )


def _refuse_other_size(image: ImageAsRead, facts: ImageFacts, log: ProblemLog) -> None:
    """Of an image of another size than stated (in either frame) no box can be judged."""
    stated = (image.width_px or facts.width_px, image.height_px or facts.height_px)
    frames = {(facts.width_px, facts.height_px)}
    if facts.orientation > 4:
        frames.add((facts.height_px, facts.width_px))
    if stated not in frames:
        message = f"states {stated[0]}x{stated[1]} pixels, {image.name} has {facts.width_px}x{facts.height_px}"
        _note(log, "size_mismatch", image.annotation_path, message)


def _checked_boxes(
    image: ImageAsRead, facts: ImageFacts, classes: ClassMap, log: ProblemLog
) -> Iterator[tuple[Box, None] | tuple[None, str]]:
    """Each box, or the fault that it is left out for."""
    seen = set()
    for read in image.boxes:
        box, faults = _sound(read, facts, classes, log.policies)
        if box is not None:
            key = (box.class_name, box.xmin_px, box.ymin_px, box.xmax_px, box.ymax_px)
            if key in seen:
                faults = (*faults, ("duplicate_box", f"a box of {box.class_name!r} stands twice"))
            seen.add(key)
        # In a file of many images without lines, nothing else tells which box is meant.
        within = "" if read.line is not None else f", in {image.name}"
        policies = {
            fault: log.add(fault, image.annotation_path, f"{message}{within}", line=read.line)
            for fault, message in faults
        }
        lost_by = next((fault for fault, policy in policies.items() if policy in _LEFT_OUT), None)
        if box is not None and lost_by is None:
            yield box, None
        else:
            # What cannot be a box has a fault, whatever its policy.
            yield None, lost_by or faults[-1][0]


def _sound(
    read: BoxAsRead, facts: ImageFacts, classes: ClassMap, policies: Policies
) -> tuple[Box | None, tuple[_Found, ...]]:
    """The box as it can be used, mended where that is the policy, and its faults."""
    class_name, class_faults = _resolved(read.class_name, classes)
    shaped, shape_faults = _shaped(read, policies)
    faults = (*class_faults, *shape_faults)
    if class_name is None or shaped is None:
        return None, faults
    corners, border_faults = _inside(shaped, facts.width_px, facts.height_px, policies)
    faults = (*faults, *border_faults)
    if corners is None:
        return None, faults
    xmin_px, ymin_px, xmax_px, ymax_px = corners
    sides = (xmax_px - xmin_px, ymax_px - ymin_px)
    if min(sides) < TINY_PX:
        faults = (*faults, ("tiny_box", f"a box is {sides[0]:g}x{sides[1]:g} pixels large"))
    mask = read.mask
    if isinstance(mask, RunLengths) and (mask.width_px, mask.height_px) != (facts.width_px, facts.height_px):
        faults = (*faults, ("bad_mask", f"a mask is {mask.width_px}x{mask.height_px} pixels large"))
        mask = None
    area_px = read.area_px if corners == (read.xmin_px, read.ymin_px, read.xmax_px, read.ymax_px) else None
    if area_px is not None and not 0 < area_px <= facts.width_px * facts.height_px:
        faults = (*faults, ("bad_area", f"an object states an area of {area_px:g} pixels"))
        area_px = None
    keypoints, keypoint_faults = checked_keypoints(read.keypoints, facts.width_px, facts.height_px)
    box = Box(
        class_name,
        *corners,
        difficult=read.difficult,
        truncated=read.truncated,
        is_crowd=read.is_crowd,
        mask=mask,
        keypoints=keypoints,
        stated_area_px=area_px,
    )
    return box, (*faults, *keypoint_faults)


def _resolved(class_name: str, classes: ClassMap) -> tuple[str | None, Iterable[_Found]]:
    """The name that a class goes by, None where it has none, and its fault."""
    if not class_name.strip():
        return None, [("empty_class", "a box without a class name")]
    resolved = classes.resolve(class_name)
    if resolved.name is None:
        return None, [("unknown_class", f"the class {class_name!r} is not among the classes ({resolved.hint})")]
    if not resolved.is_exact:
        return resolved.name, [("class_spelling", f"the class {class_name!r} is taken for {resolved.name!r}")]
    return resolved.name, []


_Corners = tuple[float, float, float, float]


def _shaped(read: BoxAsRead, policies: Policies) -> tuple[_Corners | None, list[_Found]]:
    """Corners with an area, turned round where that is asked for; None where there are none."""
    corners = {"xmin": read.xmin_px, "ymin": read.ymin_px, "xmax": read.xmax_px, "ymax": read.ymax_px}
    for name, value in corners.items():
        if not math.isfinite(value):
            return None, [("bad_number", f"the {name} of a box is no finite number")]
    faults = []
    for low, high in (("xmin", "xmax"), ("ymin", "ymax")):
        if corners[low] > corners[high]:
            faults.append(("inverted_box", f"a box has {low} {corners[low]:g} above {high} {corners[high]:g}"))
            corners[low], corners[high] = corners[high], corners[low]
    if faults and policies["inverted_box"] is not Policy.FIX:
        return None, faults[:1]
    width_px, height_px = corners["xmax"] - corners["xmin"], corners["ymax"] - corners["ymin"]
    if min(width_px, height_px) < SMALLEST_SIDE_PX:
        return None, [*faults, ("empty_box", f"a box is {width_px:g}x{height_px:g} pixels large")]
    return (corners["xmin"], corners["ymin"], corners["xmax"], corners["ymax"]), faults


def _inside(
    corners: _Corners, width_px: int, height_px: int, policies: Policies
) -> tuple[_Corners | None, list[_Found]]:
    """The corners cut at the image's border, and the fault where they leave it; None where that is too far."""
    xmin_px, ymin_px, xmax_px, ymax_px = corners
    beyond_x = max(beyond_px(xmin_px, width_px), beyond_px(xmax_px, width_px))
    beyond_y = max(beyond_px(ymin_px, height_px), beyond_px(ymax_px, height_px))
    if not beyond_x and not beyond_y:
        return corners, []
    shown = ", ".join(f"{corner:g}" for corner in corners)
    where = f"the box ({shown}) leaves the image of {width_px}x{height_px} pixels"
    cut = (max(xmin_px, 0.0), max(ymin_px, 0.0), min(xmax_px, float(width_px)), min(ymax_px, float(height_px)))
    if min(cut[2] - cut[0], cut[3] - cut[1]) < SMALLEST_SIDE_PX:
        return None, [("outside_box", where)]
    if beyond_x > tolerance_px(width_px) or beyond_y > tolerance_px(height_px):
        return (cut if policies["outside_box"] is Policy.FIX else None), [("outside_box", where)]
    return cut, [("clipped_box", where)]
