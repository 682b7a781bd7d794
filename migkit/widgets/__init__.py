"""Explorers for notebooks: objects whose widgets and figures have names; no maths and no file access."""

from migkit.widgets.calibration import CalibrationExplorer
from migkit.widgets.explorer import Explorer
from migkit.widgets.link_sizing import LinkExplorer
from migkit.widgets.live import LiveFigure
from migkit.widgets.memory.animation import Animation
from migkit.widgets.memory.dirty_curve import DirtyCurveExplorer
from migkit.widgets.memory.player import Player
from migkit.widgets.memory.round_by_round import RoundsExplorer
from migkit.widgets.network import NetworkExplorer
from migkit.widgets.policies import PolicyExplorer
from migkit.widgets.strategies import StrategyExplorer

__all__ = [
    "Animation",
    "CalibrationExplorer",
    "DirtyCurveExplorer",
    "Explorer",
    "LinkExplorer",
    "LiveFigure",
    "NetworkExplorer",
    "Player",
    "PolicyExplorer",
    "RoundsExplorer",
    "StrategyExplorer",
]
