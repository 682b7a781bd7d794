"""migkit: predict, measure and plan live migrations of running virtual machines.

Importing migkit loads none of numba, pandas, scipy and plotly; each public name
is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from migkit.models.many import predict_many
    from migkit.models.predict import predict
    from migkit.models.result import Prediction
    from migkit.models.simulate import Simulation, simulate
    from migkit.scenario import DirtyClass, Guest, Host, Link, Policy, Scenario, Strategy
    from migkit.scenario.policy import presets, register_policy

__version__ = "0.1.0"

_HOME = {
    "DirtyClass": "migkit.scenario",
    "Guest": "migkit.scenario",
    "Host": "migkit.scenario",
    "Link": "migkit.scenario",
    "Policy": "migkit.scenario",
    "Scenario": "migkit.scenario",
    "Prediction": "migkit.models.result",
    "Simulation": "migkit.models.simulate",
    "Strategy": "migkit.scenario",
    "presets": "migkit.scenario.policy",
    "register_policy": "migkit.scenario.policy",
    "simulate": "migkit.models.simulate",
    "predict": "migkit.models.predict",
    "predict_many": "migkit.models.many",
}

__all__ = [
    "DirtyClass",
    "Guest",
    "Host",
    "Link",
    "Policy",
    "Prediction",
    "Scenario",
    "Simulation",
    "Strategy",
    "__version__",
    "predict",
    "predict_many",
    "presets",
    "register_policy",
    "simulate",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'migkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
