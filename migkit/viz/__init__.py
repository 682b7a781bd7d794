"""Results and frames to plotly figures; nothing is computed here and no file is touched."""

from migkit.viz.accuracy import predicted_against_measured, residuals
from migkit.viz.bars import rounds
from migkit.viz.coverage import intervals
from migkit.viz.dirtiness import dirty_curves, settling
from migkit.viz.forecasts import ends, forecast
from migkit.viz.labelled import bars_by_name, curves, table
from migkit.viz.logs import imported
from migkit.viz.panels import convergence, each_round, overview
from migkit.viz.path import speeds
from migkit.viz.plans.before_after import before_after
from migkit.viz.plans.chances import empty_by, rehearsed
from migkit.viz.plans.choices import front, near, tornado
from migkit.viz.plans.heat import host_memory, link_load, never_converging
from migkit.viz.plans.schedule import gantt
from migkit.viz.strategies import crossovers, progress, timelines
from migkit.viz.style import CONFIG, Figure
from migkit.viz.timeline import prediction, remaining

__all__ = [
    "CONFIG",
    "Figure",
    "bars_by_name",
    "before_after",
    "convergence",
    "crossovers",
    "curves",
    "dirty_curves",
    "each_round",
    "empty_by",
    "ends",
    "forecast",
    "front",
    "gantt",
    "host_memory",
    "imported",
    "intervals",
    "link_load",
    "near",
    "never_converging",
    "overview",
    "predicted_against_measured",
    "prediction",
    "progress",
    "rehearsed",
    "remaining",
    "residuals",
    "rounds",
    "settling",
    "speeds",
    "table",
    "timelines",
    "tornado",
]
