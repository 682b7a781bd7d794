"""Explorers for notebooks: objects whose widgets and figures have names; no maths and no file access."""

from migkit.widgets.animation import Animation
from migkit.widgets.explorer import Explorer
from migkit.widgets.live import LiveFigure
from migkit.widgets.player import Player
from migkit.widgets.policies import PolicyExplorer
from migkit.widgets.strategies import StrategyExplorer

__all__ = ["Animation", "Explorer", "LiveFigure", "Player", "PolicyExplorer", "StrategyExplorer"]
