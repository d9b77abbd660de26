"""What can be wrong with labelled images, and what is done about it; all faults are collected and told once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from odrun.errors import InputError

EXAMPLES_TOLD = 20


class Policy(Enum):
    """What a fault leads to: the data are refused, mended and counted, or taken with a warning."""

    ERROR = "error"
    FIX = "fix"
    WARN = "warn"


@dataclass(frozen=True)
class Fault:
    """A kind of fault: its policy, what is meant, and what the user can do about it."""

    policy: Policy
    meaning: str
    remedy: str


FAULTS: dict[str, Fault] = {
    "unreadable_file": Fault(
        Policy.ERROR, "a file or folder that may not be read", "give yourself the right to read it (chmod u+r FILE)"
    ),
    "malformed_annotation": Fault(
        Policy.ERROR, "an annotation file that breaks its format", "mend the file, or take it out of the folder"
    ),
    "doctype": Fault(
        Policy.ERROR, "an XML file with a DOCTYPE", "delete the <!DOCTYPE ...> declaration; annotations need none"
    ),
    "missing_image": Fault(
        Policy.ERROR, "an annotation whose image is not there", "put the image beside the annotation or delete both"
    ),
    "missing_annotation": Fault(
        Policy.ERROR, "an image set that names an annotation that is not there", "delete the line from the image set"
    ),
    "undecodable_image": Fault(
        Policy.ERROR, "an image that does not decode", "replace the image, or delete it and its annotation"
    ),
    "duplicate_image": Fault(
        Policy.ERROR, "an image that two annotations speak of", "keep one annotation for each image"
    ),
    "size_mismatch": Fault(
        Policy.ERROR,
        "an image of another size than its annotation states",
        "label the image again, or scale the boxes and correct <size>",
    ),
    "bad_number": Fault(
        Policy.ERROR, "a box with a coordinate that is no finite number", "correct the number in the annotation"
    ),
    "empty_class": Fault(Policy.ERROR, "a box without a class name", "name the class in the annotation"),
    "unknown_class": Fault(
        Policy.ERROR,
        "a class that is not in dataset.classes",
        "correct the name in the annotation, add it to dataset.classes, or set dataset.classes=null to take all",
    ),
    "inverted_box": Fault(
        Policy.ERROR, "a box whose minimum lies above its maximum", "exchange the two numbers in the annotation"
    ),
    "empty_box": Fault(Policy.ERROR, "a box without area", "delete the box or draw it again"),
    "outside_box": Fault(
        Policy.ERROR,
        "a box that leaves its image by more than 2 pixels and 1 %",
        "draw the box again; check that the annotation belongs to this image",
    ),
    "clipped_box": Fault(
        Policy.FIX, "a box that left its image by at most 2 pixels or 1 %, now cut at the border", "nothing to do"
    ),
    "wrong_extension": Fault(
        Policy.FIX, "an image file named after another format than it has, read as what it is", "rename the file"
    ),
    "re_encoded_image": Fault(
        Policy.FIX, "an image that TensorFlow does not decode as it is, stored as 8-bit PNG", "nothing to do"
    ),
    "near_duplicate": Fault(
        Policy.WARN, "an image that looks like another one", "delete one, or keep both on one side of the split"
    ),
    "image_without_boxes": Fault(
        Policy.WARN, "an annotated image without any box, used as background", "delete it if it was forgotten"
    ),
    "image_without_annotation": Fault(
        Policy.WARN, "an image that no annotation speaks of, not used", "label it or take it out of the folder"
    ),
    "annotation_outside_split": Fault(
        Policy.WARN, "an annotation that neither part of the given split names, not used", "add it to a part"
    ),
    "class_without_boxes": Fault(
        Policy.WARN, "a class of dataset.classes that no box has", "correct or drop the name in dataset.classes"
    ),
}


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


class ProblemLog:
    """Collects problems in the order they are found."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add(self, fault: str, file: Path, message: str, *, line: int | None = None) -> None:
        """Note a problem; `fault` is a key of `FAULTS` (KeyError if it is not)."""
        if fault not in FAULTS:
            raise KeyError(fault)
        self.problems.append(Problem(fault, file, line, message))

    def counts(self, *policies: Policy) -> dict[str, int]:
        """How often each fault with one of `policies` was found, sorted by name; faults not found are left out."""
        found = Counter(problem.fault for problem in self.problems if FAULTS[problem.fault].policy in policies)
        return dict(sorted(found.items()))

    def examples(self, *policies: Policy, most: int = EXAMPLES_TOLD) -> list[Problem]:
        """At most `most` problems with one of `policies`, in the order found.

        Each fault comes before a second of its kind, and each message (such as a class that is not known) before its
        repetition in another file.
        """
        of_fault: Counter[str] = Counter()
        of_message: Counter[tuple[str, str]] = Counter()
        ranked = []
        for position, problem in enumerate(self.problems):
            if FAULTS[problem.fault].policy in policies:
                of_fault[problem.fault] += 1
                of_message[problem.fault, problem.message] += 1
                ranked.append((of_message[problem.fault, problem.message], of_fault[problem.fault], position))
        chosen = sorted(ranked)[:most]
        return [self.problems[position] for position in sorted(position for *_, position in chosen)]

    def refuse_errors(self, source: Path) -> None:
        """Do nothing if no fault with the policy `error` was found.

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
        remedies = "\n          ".join(f"{fault}: {FAULTS[fault].remedy}" for fault in counts)
        raise InputError("\n".join(lines), where=str(source), remedy=remedies)
