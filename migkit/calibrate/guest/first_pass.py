"""How far the first pass is, where QEMU syncs the bitmap while it lasts.

QEMU 11.1 syncs at every look where post-copy is permitted (see :mod:`migkit.policies.qemu`). Its count of syncs does
then not tell when all memory was sent once. The pages that were sent do: what lies ahead of the pointer is sent once.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from migkit.policies import systems
from migkit.scenario import Policy
from migkit.units import PAGE_BYTES

if TYPE_CHECKING:
    from migkit.importers import Log

__all__ = ["pages_ahead", "syncs_at_every_look"]


def pages_ahead(log: Log) -> float:
    """Return how many pages the first pass has not sent yet; 0: it is over, or no sync comes before its end.

    Examples
    --------
    >>> from migkit.importers import read
    >>> from migkit.traces import data
    >>> log = read(data.data_path("kvm_database/precopy-4t-1.json.gz"))[0].until(10.0)
    >>> pages_ahead(log)
    0.0
    >>> log.meta.update(version={"qemu": "11.1.3"}, capabilities={"postcopy-ram": True})
    >>> round(pages_ahead(log) / 2**18)
    4
    """
    frame = log.frame
    if not syncs_at_every_look(log) or not {"total_bytes", "normal_pages", "zero_pages"} <= set(frame):
        return 0.0
    sent = float((frame["normal_pages"] + frame["zero_pages"]).max())
    ahead = float(frame["total_bytes"].max()) / PAGE_BYTES - sent
    return max(0.0, ahead) if math.isfinite(ahead) else 0.0


def syncs_at_every_look(log: Log) -> bool:
    """Return whether QEMU syncs at every look: from 11.1 on, where post-copy is permitted.

    Examples
    --------
    >>> from migkit.importers import read_reference
    >>> syncs_at_every_look(read_reference("a1-q7-0"))
    False
    """
    policy = Policy(name=systems.of_qemu((log.meta["version"] or {}).get("qemu")))
    return bool(log.meta["capabilities"].get("postcopy-ram") and policy.setting("sync_at_threshold"))
