"""Explorers for notebooks: objects whose widgets and figures have names; no maths and no file access.

Those that need more than predictions (logs, plans, real runs) are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from migkit.widgets.calibration import CalibrationExplorer
from migkit.widgets.live import LiveFigure
from migkit.widgets.memory.animation import Animation
from migkit.widgets.memory.dirty_curve import DirtyCurveExplorer
from migkit.widgets.memory.player import Player
from migkit.widgets.memory.round_by_round import RoundsExplorer
from migkit.widgets.scenarios.explorer import Explorer
from migkit.widgets.scenarios.link_sizing import LinkExplorer
from migkit.widgets.scenarios.network import NetworkExplorer
from migkit.widgets.scenarios.policies import PolicyExplorer
from migkit.widgets.scenarios.strategies import StrategyExplorer

if TYPE_CHECKING:
    from migkit.widgets.dropped.emptying import DrainExplorer
    from migkit.widgets.dropped.stuck_log import LogExplorer
    from migkit.widgets.running.live_capture import CaptureExplorer
    from migkit.widgets.running.live_qemu import QemuExplorer
    from migkit.widgets.running.live_watch import WatchExplorer

__all__ = [
    "Animation",
    "CalibrationExplorer",
    "CaptureExplorer",
    "DirtyCurveExplorer",
    "DrainExplorer",
    "Explorer",
    "LinkExplorer",
    "LiveFigure",
    "LogExplorer",
    "NetworkExplorer",
    "Player",
    "PolicyExplorer",
    "QemuExplorer",
    "RoundsExplorer",
    "StrategyExplorer",
    "WatchExplorer",
]

_LATER: Final = {
    "CaptureExplorer": "migkit.widgets.running.live_capture",
    "DrainExplorer": "migkit.widgets.dropped.emptying",
    "LogExplorer": "migkit.widgets.dropped.stuck_log",
    "QemuExplorer": "migkit.widgets.running.live_qemu",
    "WatchExplorer": "migkit.widgets.running.live_watch",
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module 'migkit.widgets' has no attribute {name!r}")
