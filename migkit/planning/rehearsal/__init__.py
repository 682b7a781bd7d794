"""A drain before it is made: the manager as it is, its queue and its retries, with durations that are not certain."""

from migkit.planning.rehearsal.answer import Rehearsal
from migkit.planning.rehearsal.managers import Manager, manager_of
from migkit.planning.rehearsal.rehearsing import rehearse
from migkit.planning.rehearsal.upgrades import Upgrade, upgrade

__all__ = ["Manager", "Rehearsal", "Upgrade", "manager_of", "rehearse", "upgrade"]
