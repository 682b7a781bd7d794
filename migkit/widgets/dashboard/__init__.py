"""The dashboard: the questions of planners as one page, without code."""

from migkit.widgets.dashboard.tabs import Dashboard

__all__ = ["Dashboard"]
