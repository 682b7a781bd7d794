"""Results and frames to plotly figures; nothing is computed here and no file is touched."""

from migkit.viz.accuracy import predicted_against_measured
from migkit.viz.bars import rounds
from migkit.viz.dirty_curves import dirty_curves, settling
from migkit.viz.intervals import intervals
from migkit.viz.logs import imported
from migkit.viz.panels import convergence, each_round, overview
from migkit.viz.schedule import gantt
from migkit.viz.strategies import crossovers, timelines
from migkit.viz.style import CONFIG, Figure
from migkit.viz.timeline import prediction, remaining

__all__ = [
    "CONFIG",
    "Figure",
    "convergence",
    "crossovers",
    "dirty_curves",
    "each_round",
    "gantt",
    "imported",
    "intervals",
    "overview",
    "predicted_against_measured",
    "prediction",
    "remaining",
    "rounds",
    "settling",
    "timelines",
]
