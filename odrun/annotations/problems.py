"""What can be wrong with labelled images, and what is done about it; all faults are collected and told once."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TextIO

from odrun.annotations.losses import Losses
from odrun.errors import InputError, nearest

EXAMPLES_TOLD = 20
KEPT = 1000


class Policy(Enum):
    """What a fault leads to: the data are refused, what is faulty is left out, mended, or taken as it is.

    All but `error` are counted and told as warnings.
    """

    ERROR = "error"
    DROP = "drop"
    FIX = "fix"
    WARN = "warn"


_E, _D, _F, _W = Policy.ERROR, Policy.DROP, Policy.FIX, Policy.WARN


@dataclass(frozen=True)
class Fault:
    """A kind of fault: the policies that it can have (the default first), what is meant, what the user can do."""

    policies: tuple[Policy, ...]
    meaning: str
    remedy: str


FAULTS: dict[str, Fault] = {
    "unreadable_file": Fault(
        (_E, _D), "a file or folder that may not be read", "give yourself the right to read it (chmod u+r FILE)"
    ),
    "malformed_annotation": Fault(
        (_E, _D), "an annotation file that breaks its format", "mend the file, or take it out of the folder"
    ),
    "doctype": Fault(
        (_E, _D), "an XML file with a DOCTYPE", "delete the <!DOCTYPE ...> declaration; annotations need none"
    ),
    "missing_image": Fault(
        (_E, _D), "an annotation whose image is not there", "put the image beside the annotation or delete both"
    ),
    "missing_annotation": Fault(
        (_E, _D), "an image set that names an annotation that is not there", "delete the line from the image set"
    ),
    "undecodable_image": Fault(
        (_E, _D), "an image that does not decode", "replace the image, or delete it and its annotation"
    ),
    "changed_image": Fault(
        (_E,), "an image that changed while it was read", "let no other program write to the data set, and run again"
    ),
    "duplicate_image": Fault((_E, _D), "an image that two annotations speak of", "keep one annotation for each image"),
    "duplicate_id": Fault(
        (_E, _D), "an id that stands twice in an annotation file", "give each object an id of its own"
    ),
    "unknown_id": Fault(
        (_E, _D), "an annotation of an image or a category that its file does not have", "correct the id, or delete it"
    ),
    "size_mismatch": Fault(
        (_E, _D, _W),
        "an image of another size than its annotation states",
        "label the image again, or scale the boxes and correct the size",
    ),
    "bad_number": Fault(
        (_E, _D), "a box with a coordinate that is no finite number", "correct the number in the annotation"
    ),
    "empty_class": Fault((_E, _D), "a box without a class name", "name the class in the annotation"),
    "unknown_class": Fault(
        (_E, _D),
        "a class that is not among those of dataset.classes or dataset.label_map",
        "correct the name in the annotation, add it to dataset.classes, or set dataset.classes=null to take all",
    ),
    "class_spelling": Fault(
        (_F, _E, _D),
        "a class name that differs from another in case or outer spaces only, taken for that one",
        "write the class in one way",
    ),
    "inverted_box": Fault(
        (_E, _D, _F), "a box whose minimum lies above its maximum", "exchange the two numbers in the annotation"
    ),
    "empty_box": Fault((_E, _D), "a box without area", "delete the box or draw it again"),
    "outside_box": Fault(
        (_E, _D, _F),
        "a box that leaves its image by more than 2 pixels and 1 %",
        "draw the box again; check that the annotation belongs to this image",
    ),
    "clipped_box": Fault(
        (_F, _E, _D), "a box that left its image by at most 2 pixels or 1 %, now cut at the border", "nothing to do"
    ),
    "bad_mask": Fault(
        (_E, _D, _F), "an object's mask of another size than its image", "draw the mask again; fix takes the box alone"
    ),
    "bad_keypoint": Fault(
        (_E, _D, _F),
        "keypoints that break their format, or one whose place or visibility is no number that it can have",
        "correct the keypoint; fix takes it for not labelled",
    ),
    "outside_keypoint": Fault(
        (_E, _D, _F),
        "a keypoint that lies outside its image by more than 2 pixels and 1 %",
        "draw the keypoint again; fix takes it for not labelled",
    ),
    "clipped_keypoint": Fault(
        (_F, _E, _D),
        "a keypoint that lay outside its image by at most 2 pixels or 1 %, now on the border",
        "nothing to do",
    ),
    "bad_area": Fault(
        (_F, _E, _D),
        "an object whose stated area no object in its image can have; that of its mask, or else its box, is taken",
        "correct or delete the area in the annotation",
    ),
    "tiny_box": Fault(
        (_W, _E, _D), "a box with a side shorter than 2 pixels", "delete it if the object cannot be recognized"
    ),
    "fractional_box": Fault(
        (_W, _E),
        "a box with fractions of a pixel in a format of whole pixels",
        "nothing to do if that is meant",
    ),
    "duplicate_box": Fault(
        (_W, _E, _D), "a box that stands twice in its image, with the same class", "delete one of the two"
    ),
    "wrong_extension": Fault(
        (_F, _E, _D), "an image file named after another format than it has, read as what it is", "rename the file"
    ),
    "turned_image": Fault(
        (_F, _E, _D), "an image that its EXIF orientation turns, stored upright, boxes and all", "nothing to do"
    ),
    "re_encoded_image": Fault(
        (_F, _E, _D), "an image that TensorFlow does not decode rightly as it is, stored as 8-bit PNG", "nothing to do"
    ),
    "duplicate_content": Fault(
        (_W, _E, _D), "an image with the bytes of another one", "delete one, or keep both on one side of the split"
    ),
    "near_duplicate": Fault(
        (_W, _E, _D), "an image that looks like another one", "delete one, or keep both on one side of the split"
    ),
    "duplicate_across_split": Fault(
        (_W, _E, _D),
        "an image that looks like one on the other side of the split, which flatters the metrics",
        "keep both on one side: dataset.split.group_by=REGEX, or move one of the two",
    ),
    "image_without_boxes": Fault(
        (_W, _E, _D), "an annotated image without any box, used as background", "delete it if it was forgotten"
    ),
    "image_without_annotation": Fault(
        (_W, _E), "an image that no annotation speaks of, not used", "label it or take it out of the folder"
    ),
    "unused_file": Fault((_W, _E), "a file that this format has no use for", "take it out of the folder"),
    "annotation_outside_split": Fault(
        (_W, _E), "an annotation that neither part of the given split names, not used", "add it to a part"
    ),
    "class_without_boxes": Fault(
        (_W, _E), "a class of dataset.classes that no box has", "correct or drop the name in dataset.classes"
    ),
}


@dataclass(frozen=True)
class Policies:
    """The policy of each fault: as `chosen` (fault → policy), else the default.

    Raises:
        InputError: there is no such fault, or it cannot have that policy.
    """

    chosen: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, policy in self.chosen.items():
            key = f"dataset.problems.{name}"
            if name not in FAULTS:
                raise InputError(f"there is no fault {name!r}", where="dataset.problems", remedy=nearest(name, FAULTS))
            able = [choice.value for choice in FAULTS[name].policies]
            if policy not in able:
                raise InputError(f"{key} cannot be {policy!r}", where=key, remedy=f"one of {', '.join(able)}")

    def __getitem__(self, fault: str) -> Policy:
        return Policy(self.chosen[fault]) if fault in self.chosen else FAULTS[fault].policies[0]


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault found: which (a key of `FAULTS`), in which file and line, and what exactly.

    As text it fits on one line: signs that do not print (line ends, terminal codes) are shown by their numbers.
    """

    fault: str
    file: Path
    line: int | None
    message: str

    def __str__(self) -> str:
        place = str(self.file) if self.line is None else f"{self.file}:{self.line}"
        text = f"{place}: {self.message}"
        return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def _list_nowhere(problem: Problem) -> None:
    del problem


class ProblemLog:
    """Collects problems in the order they are found, and answers each with its policy.

    Of each fault the first `KEPT` are kept; all are counted, and written where `list_to` says. `lost` counts the images
    and boxes that whoever reads the files left out for them.
    """

    def __init__(self, policies: Policies | None = None) -> None:
        self.policies = policies or Policies()
        self.problems: list[Problem] = []
        self.lost = Losses()
        self._found: Counter[str] = Counter()
        self._list: Callable[[Problem], None] = _list_nowhere

    def list_to(self, stream: TextIO) -> None:
        """Write the problems kept so far, and every one that is found from now on, to `stream` as CSV."""
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(("fault", "policy", "file", "line", "message"))

        def write(problem: Problem) -> None:
            file, message = (
                text.encode(errors="surrogateescape").decode(errors="backslashreplace")
                for text in (str(problem.file), problem.message)
            )
            table.writerow((problem.fault, self.policies[problem.fault].value, file, problem.line, message))

        for problem in self.problems:
            write(problem)
        self._list = write

    def add(
        self,
        fault: str,
        file: Path,
        message: str,
        *,
        line: int | None = None,
        images_lost: int = 0,
        boxes_lost: int = 0,
    ) -> Policy:
        """Note a problem and how much is left out for it, and return its policy; KeyError if there is no such fault."""
        self.lost.add(fault, images=images_lost, boxes=boxes_lost)
        return self.note(Problem(fault, file, line, message))

    def note(self, problem: Problem) -> Policy:
        """Note a problem found elsewhere and return its policy."""
        policy = self.policies[problem.fault]
        self._found[problem.fault] += 1
        if self._found[problem.fault] <= KEPT:
            self.problems.append(problem)
        self._list(problem)
        return policy

    def counts(self, *policies: Policy) -> dict[str, int]:
        """How often each fault with one of `policies` was found, sorted by name; faults not found are left out."""
        return {fault: count for fault, count in sorted(self._found.items()) if self.policies[fault] in policies}

    def examples(self, *policies: Policy, most: int = EXAMPLES_TOLD) -> list[Problem]:
        """At most `most` problems with one of `policies`, in the order found.

        Each fault comes before a second of its kind, and each message (such as a class that is not known) before its
        repetition in another file.
        """
        of_fault: Counter[str] = Counter()
        of_message: Counter[tuple[str, str]] = Counter()
        ranked = []
        for position, problem in enumerate(self.problems):
            if self.policies[problem.fault] in policies:
                of_fault[problem.fault] += 1
                of_message[problem.fault, problem.message] += 1
                ranked.append((of_message[problem.fault, problem.message], of_fault[problem.fault], position))
        chosen = sorted(ranked)[:most]
        return [self.problems[position] for position in sorted(position for *_, position in chosen)]

    def refuse_errors(self, source: Path, *, listing: Path | None = None) -> None:
        """Do nothing if no fault with the policy `error` was found; `listing` is where all of them can be read.

        Raises:
            InputError: it was; the message has a table of faults and counts, the first 20, and a remedy for each kind.
        """
        counts = self.counts(Policy.ERROR)
        if not counts:
            return
        total = sum(counts.values())
        examples = self.examples(Policy.ERROR)
        width = max(map(len, counts))
        lines = [f"The data set has {total} {'fault' if total == 1 else 'faults'}; nothing was written."]
        lines += [f"  {count:>7} {fault:<{width}}  {FAULTS[fault].meaning}" for fault, count in counts.items()]
        lines += [f"  {problem}" for problem in examples]
        if total > len(examples):
            lines.append(f"  and {total - len(examples)} more")
        if listing is not None:
            lines.append(f"  all of them: {listing}")
        remedies = "\n          ".join(f"{fault}: {FAULTS[fault].remedy}" for fault in counts)
        raise InputError("\n".join(lines), where=str(source), remedy=remedies)
