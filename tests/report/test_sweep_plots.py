"""What is drawn of a sweep's trials: all of them, in few marks, and never more than can be read."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

from odrun.report import sweep_plots
from odrun.report.sweep_plots import TrialPoint, pareto_front, write_sweep_plots

RATE_AND_THRESHOLD = ("train.learning_rate", "threshold")


def trial(number: int, metric: float | None, seconds: float | None = 10.0, **parameters: str) -> TrialPoint:
    curve = () if metric is None else ((10.0, metric / 2), (20.0, metric))
    return TrialPoint(
        number, {key.replace("__", "."): value for key, value in parameters.items()}, metric, seconds, curve
    )


def written(folder: Path, trials: list[TrialPoint], *, higher_is_better: bool = True) -> list[str]:
    files = write_sweep_plots(trials, folder, title="s", objective="AP", higher_is_better=higher_is_better)
    return [path.name for path in files]


def judged(trials: list[TrialPoint]) -> list[sweep_plots._Judged]:
    return sweep_plots._judged(trials, higher_is_better=True)


def seen(figure: Figure | None) -> Figure:
    assert figure is not None
    figure.canvas.draw()
    return figure


def search(trials: int) -> list[TrialPoint]:
    """Rates and thresholds that no two trials share."""
    return [
        trial(n, 0.3 + n / 100, 20.0 + n, train__learning_rate=f"{0.0001 * 1.2**n!r}", threshold=f"{0.3 + n / 123!r}")
        for n in range(trials)
    ]


def test_the_pareto_front_has_what_nothing_beats_in_both() -> None:
    points = [(10.0, 0.2), (20.0, 0.5), (15.0, 0.1), (30.0, 0.5), (20.0, 0.4), (40.0, 0.6)]
    assert pareto_front(points, higher_is_better=True) == [(10.0, 0.2), (20.0, 0.5), (40.0, 0.6)]
    assert pareto_front(points, higher_is_better=False) == [(10.0, 0.2), (15.0, 0.1)]


def test_only_what_can_be_seen_is_written(tmp_path: Path) -> None:
    assert written(tmp_path, []) == []
    assert written(tmp_path, [trial(0, None), trial(1, None)]) == []
    assert written(tmp_path, [trial(0, 0.5)]) == ["curves.png"]
    two = [trial(0, 0.5, steps="5"), trial(1, 0.6, steps="6")]
    assert written(tmp_path, two) == ["parameters.png", "curves.png", "time.png"]
    both = [trial(0, 0.5, steps="5", seed="1"), trial(1, 0.6, steps="6", seed="2")]
    assert written(tmp_path, both) == ["parameters.png", "parallel.png", "curves.png", "time.png"]


def test_of_equal_trials_the_first_is_the_best_as_in_the_table() -> None:
    trials = [trial(0, 0.4), trial(1, 0.5), trial(2, 0.5)]
    assert [each.trial.number for each in judged(trials)] == [0, 2, 1]
    assert [each.trial.number for each in sweep_plots._judged(trials, higher_is_better=False)] == [2, 1, 0]


def test_a_panel_without_a_parameter_is_not_seen() -> None:
    trials = [trial(n, 0.1 * n, a=str(n), b=str(n), c=str(n), d=str(n)) for n in range(3)]
    figure = seen(sweep_plots._parameters(judged(trials), ("a", "b", "c", "d"), "AP"))
    assert [axes.get_visible() for axes in figure.axes] == [True] * 4 + [False] * 2


def test_few_values_are_marked_and_joined_by_their_medians_and_many_are_not() -> None:
    grid = [trial(3 * a + b, 0.1 * a + 0.01 * b, steps=str(10 * 4**a), seed=str(b)) for a in range(3) for b in range(3)]
    steps, seeds = seen(sweep_plots._parameters(judged(grid), ("steps", "seed"), "AP")).axes
    assert (steps.get_xscale(), seeds.get_xscale()) == ("log", "linear")
    assert [label.get_text() for label in steps.get_xticklabels()] == ["10", "160", "40"]
    assert list(steps.lines[0].get_ydata()) == pytest.approx([0.01, 0.11, 0.21])
    rates, _ = seen(sweep_plots._parameters(judged(search(30)), RATE_AND_THRESHOLD, "AP")).axes
    assert (rates.get_xlabel(), rates.get_xscale(), len(rates.lines)) == ("learning_rate", "log", 0)


def test_names_stand_in_the_order_of_the_trials() -> None:
    trials = [trial(n, value, model=name) for n, (name, value) in enumerate([("small", 0.5), ("$big$", 0.4)])]
    (axes,) = seen(sweep_plots._parameters(judged(trials), ("model",), "AP")).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["small", r"\$big\$"]


def test_of_many_values_the_parallel_axes_name_the_ends() -> None:
    (axes,) = seen(sweep_plots._parallel(judged(search(30)), RATE_AND_THRESHOLD, "AP")).axes
    assert [text.get_text() for text in axes.texts] == ["0.0001", "0.0198", "0.3", "0.536", "0.3", "0.59"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["learning_rate", "threshold", "AP"]
    assert len(axes.lines) == 30
    assert axes.lines[-1].get_linewidth() > axes.lines[0].get_linewidth()


def test_every_trial_has_its_curve_and_of_many_the_best_is_named() -> None:
    few = [*search(3), TrialPoint(3, {"threshold": "0.9"}, None, None, ((10.0, 0.1),))]
    (axes,) = seen(sweep_plots._curves(few, judged(few), RATE_AND_THRESHOLD, "AP")).axes
    assert len(axes.lines) == 4
    assert axes.get_legend().get_title().get_text() == "trial learning_rate threshold"
    named = [text.get_text() for text in axes.get_legend().get_texts()]
    assert named == ["2 0.000144 0.316", "1 0.00012 0.308", "0 0.0001 0.3", "3 - 0.9"]
    many = search(40)
    (axes,) = seen(sweep_plots._curves(many, judged(many), RATE_AND_THRESHOLD, "AP")).axes
    assert len(axes.lines) == 40
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["39 0.122 0.617"]


def test_many_unjudged_curves_need_no_legend(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    assert written(tmp_path, [TrialPoint(n, {}, None, None, ((10.0, 0.1),)) for n in range(12)]) == ["curves.png"]
    assert [str(warning.message) for warning in recwarn] == []


def test_times_over_a_decade_have_a_logarithmic_axis() -> None:
    trials = [trial(0, 0.2, 10.0), trial(1, 0.5, 100.0), trial(2, 0.4, None)]
    (axes,) = seen(sweep_plots._time(judged(trials), "AP", higher_is_better=True)).axes
    assert axes.get_xscale() == "log"
    assert [text.get_text() for text in axes.texts] == ["0", "1"]


def test_long_names_leave_room_for_what_is_drawn(tmp_path: Path) -> None:
    trials = [trial(n, 0.1 * n, dataset__path=f"/data/a very long/place/number {n}/images") for n in range(8)]
    written(tmp_path, trials)
    with Image.open(tmp_path / "parameters.png") as picture:
        blue = sum(
            count for count, colour in picture.convert("RGB").getcolors(1 << 20) or [] if colour == (0, 114, 178)
        )
    assert blue > 8 * 30
