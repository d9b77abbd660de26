"""`odrun check deep=true`: the model is built with TensorFlow and filled from the checkpoint."""

from __future__ import annotations

from typing import Any

from odrun.checks.finding import Finding, finding_of
from odrun.commands.fitting import training_input
from odrun.compat.autograph import library_code_unconverted
from odrun.compat.engine import DetectionModel, seed_everything
from odrun.errors import InputError
from odrun.records.manifest import PreparedData
from odrun.settings import TrainJob
from odrun.training.freezing import freeze
from odrun.training.restore import restore
from odrun.training.step import Trainer


def deep_findings(job: TrainJob, pipeline: Any, data: PreparedData) -> list[Finding]:
    """What building the model on a first batch shows, and how its variables compare with the checkpoint's."""
    seed_everything(job.train.seed)
    findings = []
    try:
        with library_code_unconverted(), training_input(job, pipeline, data) as source:
            model = DetectionModel(pipeline, is_training=True)
            trainer = Trainer(model, pipeline, seed=job.train.seed)
            batch = next(source.batches(pipeline, model.network, first_step=1))
            trainer.build(batch[0])
            findings.append(Finding("model", "note", f"built: {len(model.network.variables)} variables"))
            if pipeline.train_config.fine_tune_checkpoint:
                told = restore(model, pipeline.train_config.fine_tune_checkpoint, kind=None)
                findings.append(Finding("checkpoint", "note", str(told)))
            if pipeline.train_config.freeze_variables:
                findings.append(Finding("model", "note", str(freeze(model, pipeline.train_config.freeze_variables))))
    except InputError as error:
        findings.append(finding_of("model", error))
    return findings
