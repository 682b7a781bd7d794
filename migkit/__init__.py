"""migkit: predict, measure and plan live migrations of running virtual machines.

Importing migkit loads none of numba, pandas, scipy and plotly; each public name
is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from migkit.calibrate.fit import Calibration, fit
    from migkit.front import capture, load
    from migkit.models.alternatives import Alternatives, compare
    from migkit.models.bulk.many import predict_many
    from migkit.models.predict import predict
    from migkit.models.result import Prediction
    from migkit.models.simulate import Simulation, simulate
    from migkit.planning.drain import HostByHost, Plan, drain, drain_each
    from migkit.planning.inventory import Inventory
    from migkit.planning.rehearsal import Rehearsal, Upgrade, rehearse, upgrade
    from migkit.planning.sensitivity import Sensitivity, sensitivity
    from migkit.planning.settings.advise import Advice, advise
    from migkit.planning.settings.lint import Lint, lint
    from migkit.planning.size import Size, size
    from migkit.planning.space import Design, Range
    from migkit.planning.sweep import sweep, sweep_to
    from migkit.planning.targets import Targets
    from migkit.planning.tradeoffs import Tradeoffs, tradeoffs
    from migkit.reports import report
    from migkit.scenario import DirtyClass, Guest, Host, Link, Policy, Scenario, Strategy
    from migkit.scenario.policy import presets, register_policy
    from migkit.scenario.profile import DirtyProfile
    from migkit.traces.schema import Trace

__version__ = "0.1.0"

_NAMES = {
    "migkit.calibrate.fit": ("Calibration", "fit"),
    "migkit.front": ("capture", "load"),
    "migkit.models.alternatives": ("Alternatives", "compare"),
    "migkit.models.bulk.many": ("predict_many",),
    "migkit.models.predict": ("predict",),
    "migkit.models.result": ("Prediction",),
    "migkit.models.simulate": ("Simulation", "simulate"),
    "migkit.planning.settings.advise": ("Advice", "advise"),
    "migkit.planning.settings.lint": ("Lint", "lint"),
    "migkit.planning.space": ("Design", "Range"),
    "migkit.planning.sensitivity": ("Sensitivity", "sensitivity"),
    "migkit.planning.size": ("Size", "size"),
    "migkit.planning.sweep": ("sweep", "sweep_to"),
    "migkit.planning.targets": ("Targets",),
    "migkit.planning.tradeoffs": ("Tradeoffs", "tradeoffs"),
    "migkit.planning.drain": ("HostByHost", "Plan", "drain", "drain_each"),
    "migkit.planning.inventory": ("Inventory",),
    "migkit.planning.rehearsal": ("Rehearsal", "Upgrade", "rehearse", "upgrade"),
    "migkit.reports": ("report",),
    "migkit.scenario": ("DirtyClass", "Guest", "Host", "Link", "Policy", "Scenario", "Strategy"),
    "migkit.scenario.policy": ("presets", "register_policy"),
    "migkit.scenario.profile": ("DirtyProfile",),
    "migkit.traces.schema": ("Trace",),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "Advice",
    "Alternatives",
    "Calibration",
    "Design",
    "DirtyClass",
    "DirtyProfile",
    "Guest",
    "Host",
    "HostByHost",
    "Inventory",
    "Link",
    "Lint",
    "Plan",
    "Policy",
    "Prediction",
    "Range",
    "Rehearsal",
    "Scenario",
    "Sensitivity",
    "Simulation",
    "Size",
    "Strategy",
    "Targets",
    "Trace",
    "Tradeoffs",
    "Upgrade",
    "__version__",
    "advise",
    "capture",
    "compare",
    "drain",
    "drain_each",
    "fit",
    "lint",
    "load",
    "predict",
    "predict_many",
    "presets",
    "register_policy",
    "rehearse",
    "report",
    "sensitivity",
    "simulate",
    "size",
    "sweep",
    "sweep_to",
    "tradeoffs",
    "upgrade",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'migkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
