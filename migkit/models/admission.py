"""Whether a migration may start at all: memory and path must have room for it."""

from __future__ import annotations

from typing import Any

import numpy as np

from migkit.models.goodput import path
from migkit.scenario import Scenario
from migkit.units import format_rate, format_size

__all__ = ["refusal", "refused"]


def refused(case: Scenario) -> Any:
    """Return whether :func:`refusal` has a reason; fields that are numbers may be arrays."""
    return _no_room(case) | _never_copied(case)


def refusal(case: Scenario) -> str:
    """Return why a migration is not admitted, or no text.

    The guest must fit in the memory that is free at the destination, and must write to storage that is
    copied along more slowly than the path carries.

    Parameters
    ----------
    case
        The scenario.

    Examples
    --------
    >>> from migkit import Guest, Host
    >>> refusal(Scenario(guest=Guest(memory_bytes=2**30), host=Host(destination_free_memory_bytes=2**29)))
    'not admitted: the guest has 1 GiB, and 512 MiB are free at the destination. Free memory there, ...'
    """
    host, strategy = case.host, case.strategy
    if _no_room(case):
        needs, free = format_size(case.guest.memory_bytes), format_size(host.destination_free_memory_bytes)
        return (
            f"not admitted: the guest has {needs}, and {free} are free at the destination. "
            "Free memory there, choose another destination, or shrink the guest."
        )
    if _never_copied(case):
        return (
            f"not admitted: the guest writes {format_rate(strategy.storage_dirty_bytes_per_s)} to storage, "
            f"and the path carries {format_rate(path(case))}. A faster path would do, or storage that is shared."
        )
    return ""


def _no_room(case: Scenario) -> Any:
    return np.asarray(case.guest.memory_bytes) > case.host.destination_free_memory_bytes


def _never_copied(case: Scenario) -> Any:
    writes = np.asarray(case.strategy.storage_dirty_bytes_per_s)
    return (writes > 0) & (writes >= path(case))
