"""Results and frames to plotly figures; nothing is computed here and no file is touched."""

from migkit.viz.accuracy import predicted_against_measured
from migkit.viz.overview import convergence, overview
from migkit.viz.remaining import prediction, remaining
from migkit.viz.rounds import rounds
from migkit.viz.strategies import crossovers, timelines
from migkit.viz.style import CONFIG, Figure

__all__ = [
    "CONFIG",
    "Figure",
    "convergence",
    "crossovers",
    "overview",
    "predicted_against_measured",
    "prediction",
    "remaining",
    "rounds",
    "timelines",
]
