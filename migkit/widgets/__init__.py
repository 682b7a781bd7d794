"""Explorers for notebooks: objects whose widgets and figures have names; no maths and no file access."""

from migkit.widgets.explorer import Explorer
from migkit.widgets.live import LiveFigure

__all__ = ["Explorer", "LiveFigure"]
