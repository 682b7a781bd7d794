"""Hosts emptied: which machine goes where, when, and by when all is done."""

from migkit.planning.drain.ask import drain
from migkit.planning.drain.conflicts import Conflict
from migkit.planning.drain.each import HostByHost, drain_each
from migkit.planning.drain.evacuation import Plan

__all__ = ["Conflict", "HostByHost", "Plan", "drain", "drain_each"]
