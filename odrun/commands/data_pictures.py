"""Pictures of prepared data in a run's own folder: as in the folder of the records, with the model's anchors."""

from __future__ import annotations

from pathlib import Path

from odrun.pipeline.anchors import Anchors
from odrun.records.manifest import PreparedData
from odrun.records.statistics import STATISTICS_NAME, BoxStatistics
from odrun.report.dataset_plots import write_dataset_plots
from odrun.report.dataset_samples import SAMPLES
from odrun.runs.files import write_whole


def write_data_pictures(data: PreparedData, folder: Path, anchors: Anchors) -> None:
    """Write the plots of `data` beside `anchors`, and the sheet of samples; none of records made elsewhere."""
    statistics = data.folder / STATISTICS_NAME
    if statistics.is_file():
        write_dataset_plots(BoxStatistics.load(statistics), data.classes, folder, anchors=anchors)
        write_whole(folder / SAMPLES, (data.folder / SAMPLES).read_bytes())
