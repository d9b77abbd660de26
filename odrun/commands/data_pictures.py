"""Pictures of prepared data in a run's own folder: as in the folder of the records, boxes with the model's anchors."""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import dataclass
from pathlib import Path

from odrun.pipeline.anchors import Anchors
from odrun.records.manifest import CLASSES_PLOT, SAMPLES_SHEET
from odrun.runs.files import write_whole
from odrun.runs.folders import one_writer, whole_folder


@dataclass(frozen=True)
class OwnPictures:
    """The folder of a run for pictures of its data, and the anchors of its model."""

    folder: Path
    anchors: Anchors

    def write(self, records: Path) -> None:
        """Write the pictures of the data prepared in the folder `records`; none of records made elsewhere.

        The plot with the anchors is kept there, too, for the next run of a model that has the same.
        """
        if not (records / CLASSES_PLOT).is_file():
            return
        for name in (CLASSES_PLOT, SAMPLES_SHEET):
            write_whole(self.folder / name, (records / name).read_bytes())
        kept = records / f"anchors-{hashlib.sha256(pickle.dumps(self.anchors)).hexdigest()[:16]}"
        try:
            with one_writer(kept, waiting=_wait):
                if not kept.is_dir():
                    with whole_folder(kept) as temporary:
                        self._draw(records, temporary)
        except OSError:
            # The cache may be another user's.
            self._draw(records, self.folder)
        else:
            for plot in kept.iterdir():
                write_whole(self.folder / plot.name, plot.read_bytes())

    def _draw(self, records: Path, folder: Path) -> None:
        # Matplotlib and NumPy take a while to be imported; worker processes do it beside other work.
        from odrun.records.statistics import STATISTICS_NAME, BoxStatistics
        from odrun.report.dataset_plots import write_box_plot

        write_box_plot(BoxStatistics.load(records / STATISTICS_NAME), folder, anchors=self.anchors)


def _wait() -> None:
    """Another run draws the same plot, which takes a moment."""
