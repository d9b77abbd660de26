"""`odrun check`: all of a training that can be judged before it begins, and what of its configuration is not official.

TensorFlow is imported for `deep=true` only. Records are prepared, as the training would do it, and found by it again.
"""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from odrun import compat
from odrun.checks.finding import SEVERITIES, Finding, finding_of, refuse_errors
from odrun.commands.checking import cheap_findings, record_findings
from odrun.commands.preparing import prepare
from odrun.errors import InputError
from odrun.pipeline.build import build
from odrun.pipeline.complete import complete
from odrun.pipeline.descriptors import PipelineConfig
from odrun.pipeline.provenance import Change, Source, changes
from odrun.pipeline.text import to_text
from odrun.records.manifest import PreparedData
from odrun.report.closing import Closing
from odrun.report.terminal import Terminal
from odrun.runs.directory import RunDirectory
from odrun.runs.files import shown_path, write_whole
from odrun.runs.log import quiet_terminal
from odrun.settings import CHECKPOINT_ZOO, CheckJob
from odrun.zoo.start import starting_checkpoint


def check(
    job: CheckJob,
    *,
    directory: RunDirectory,
    overrides: tuple[str, ...],
    config_text: str,
    official: PipelineConfig,
    source_of: Callable[[str], Source],
) -> None:
    """Check the training of `job`; what is found goes to the terminal and to `check.json` in a new `directory`.

    `official` is the configuration of the model as published; `source_of` says who set a key.

    Raises:
        InputError: an error was found; the directory stays.
    """
    directory.create()
    try:
        with quiet_terminal(directory.log, verbose=job.verbose) as stream:
            findings = _check(job, directory, overrides, config_text, official, source_of, Terminal(stream))
    except InputError:
        directory.discard()
        raise
    refuse_errors(findings, where=shown_path(directory.check))


def _check(
    job: CheckJob,
    directory: RunDirectory,
    overrides: tuple[str, ...],
    config_text: str,
    official: PipelineConfig,
    source_of: Callable[[str], Source],
    terminal: Terminal,
) -> list[Finding]:
    terminal.stage("run", shown_path(directory.path))
    compat.load()
    composed = build(job.pipeline, job.augmentation)
    findings: list[Finding] = []
    checkpoint = _checkpoint(job, terminal, findings)
    data = _data(job, terminal, findings)
    made: tuple[Change, ...] = ()
    if data is not None:
        completed = complete(
            composed,
            train_records=data.train_records,
            validation_records=data.validation_records,
            label_map=data.label_map,
            num_classes=len(data.classes),
            checkpoint=checkpoint,
            has_masks=data.masks > 0,
            keypoints=data.keypoints,
        )
        findings += [Finding("model", "note", note) for note in completed.notes]
        findings += [*cheap_findings(job, completed.config, data), *record_findings(data)]
        if job.deep:
            terminal.stage("engine", "TensorFlow and the Object Detection API are being loaded")
            findings += _deep(job, completed.config, data)
        made = changes(official, composed, completed.config, source_of)
        write_whole(directory.pipeline_config, to_text(completed.config))
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    write_whole(directory.config, config_text)
    write_whole(directory.check, _json(findings, made))
    _tell(findings, made, terminal)
    terminal.closing(_closing(findings, overrides, directory))
    return findings


def _checkpoint(job: CheckJob, terminal: Terminal, findings: list[Finding]) -> str | None:
    """The prefix of the checkpoint, if it is on this disk; an archive is not fetched for a check."""
    model = job.model
    if model.checkpoint == CHECKPOINT_ZOO and model.archive is None and model.zoo.archive is not None:
        kept = job.paths.cache_dir / "zoo" / f"{model.zoo.archive}.tar.gz"
        if not kept.is_file():
            what = f"the archive of {model.name} is not in the cache; odrun train fetches it"
            findings.append(Finding("checkpoint", "note", what, f"odrun zoo fetch {model.name}"))
            return None
    try:
        prefix = starting_checkpoint(model, job.paths.cache_dir, mirror=job.zoo.mirror, report=terminal.fact)
    except InputError as error:
        findings.append(finding_of("checkpoint", error))
        return None
    findings.append(Finding("checkpoint", "note", "random weights" if prefix is None else f"{prefix} is complete"))
    return prefix


def _data(job: CheckJob, terminal: Terminal, findings: list[Finding]) -> PreparedData | None:
    terminal.stage("data", f"{job.dataset.name} (format {job.dataset.format})")
    try:
        with terminal.loops() as progress:
            return prepare(job.dataset, job.paths.cache_dir, report=terminal.fact, progress=progress)
    except InputError as error:
        findings.append(finding_of("data", error))
        return None


def _deep(job: CheckJob, pipeline: Any, data: PreparedData) -> list[Finding]:
    """Build the model with TensorFlow, and fill it from the checkpoint."""
    from odrun.commands.check_deep import deep_findings

    return deep_findings(job, pipeline, data)


def _json(findings: Sequence[Finding], made: Sequence[Change]) -> str:
    told = {"findings": [asdict(each) for each in findings], "changes": [asdict(each) for each in made]}
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def _tell(findings: Sequence[Finding], made: Sequence[Change], terminal: Terminal) -> None:
    terminal.stage("changes", f"{len(made)} fields differ from the official configuration of the model")
    terminal.table(
        ("field", "official", "now", "set by"),
        [(change.field, _shown(change.official), _shown(change.now), str(change.source)) for change in made],
    )
    for finding in findings:
        tell = terminal.warning if finding.severity == "warning" else None
        text = f"{finding.check}: {finding.what}"
        if tell is None:
            terminal.stage(finding.severity, text)
        else:
            tell(text)
        if finding.remedy is not None:
            terminal.fact(f"remedy: {finding.remedy}")


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return f"{len(value)} fields"
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return f"{len(value)} entries"
    return "-" if value is None else f"{value}"


def _closing(findings: Sequence[Finding], overrides: Sequence[str], directory: RunDirectory) -> Closing:
    counts = Counter(finding.severity for finding in findings)
    told = ", ".join(f"{counts[severity]} {severity}s" for severity in SEVERITIES)
    given = [text for text in overrides if not text.startswith("deep=")]
    command = " ".join(["odrun", "check" if counts["error"] else "train", *map(shlex.quote, given)])
    return Closing(
        headline=f"checked: {told}",
        metrics=None,
        places=(("findings", shown_path(directory.check)), ("pipeline", shown_path(directory.pipeline_config))),
        commands=(("mend it, then" if counts["error"] else "train", command),),
    )
