"""A fleet that nobody owns, to try a question with before one's own spreadsheet is at hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from migkit.planning.inventory.fleet import Inventory
from migkit.units import GIB

__all__ = ["EXAMPLES", "busy", "example"]

_MEMORY_GIB: Final = (2, 4, 8, 16, 32, 64)
_SHARES: Final = (0.2, 0.25, 0.25, 0.15, 0.1, 0.05)
_MEDIAN_BYTES_PER_S: Final = 9e6
_FASTEST_BYTES_PER_S: Final = 2e8


def example(hosts: int = 40, machines: int = 400, *, seed: int = 0, **columns: Any) -> Inventory:
    """Return a fleet with even load; the same for the same seed.

    Memory is drawn from 2 to 64 GiB. Dirty rates in windows of one second are log-normal around 9 MB/s, at most
    200 MB/s and at most 30 % of the memory. The first fifth of the machines stands in groups of four that must stay
    on different hosts. A host has 512 GiB, 256 processors and a link of 25 Gbit/s.

    Parameters
    ----------
    hosts, machines
        How many.
    seed
        Of the draws.
    **columns
        Columns of the hosts, in addition or instead, as in ``link="10 Gbit/s"``.

    Examples
    --------
    >>> fleet = example(hosts=4, machines=20)
    >>> len(fleet.vms), len(fleet.hosts), float(fleet.hosts.link_bytes_per_s[0])
    (20, 4, 3125000000.0)
    """
    import pandas as pd

    draw = np.random.default_rng(seed)
    memory_bytes = draw.choice(_MEMORY_GIB, machines, p=_SHARES) * GIB
    rate = draw.lognormal(np.log(_MEDIAN_BYTES_PER_S), 1.2, machines)
    vms = pd.DataFrame(
        {
            "vm": [f"v{k}" for k in range(machines)],
            "host": [f"h{k % hosts}" for k in range(machines)],
            "memory_bytes": memory_bytes,
            "processors": memory_bytes / 2**32,
            "dirty_rate_bytes_per_s": np.minimum(np.minimum(rate, 0.3 * memory_bytes), _FASTEST_BYTES_PER_S),
            "dirty_window_s": 1.0,
            "anti_affinity": [f"g{k // 4}" if k < machines // 5 else None for k in range(machines)],
        }
    )
    servers = {
        "host": [f"h{k}" for k in range(hosts)],
        "memory_bytes": 512 * GIB,
        "processors": 256.0,
        "link": "25 Gbit/s",
    }
    return Inventory.read(vms, pd.DataFrame(servers | columns))


def busy() -> Inventory:
    """Return a host with 6 calm machines and a database that writes all the time, and 3 empty ones, at 1 Gbit/s.

    The database has 16 GiB and writes 27,000 pages a second to 6 GiB of them: about what the link carries.

    Examples
    --------
    >>> busy().vms.vm.tolist()[-1], len(busy().hosts)
    ('database', 4)
    """
    calm = {"host": "old", "memory": "8 GiB", "dirty_1_region": "512 MiB", "dirty_1_writes_per_s": 500}
    database = {"memory": "16 GiB", "dirty_1_region": "6 GiB", "dirty_1_writes_per_s": 27_000}
    machines = [{**calm, "vm": f"web{k}"} for k in range(6)] + [{**calm, **database, "vm": "database"}]
    hosts = [{"host": name, "memory": "128 GiB", "link": "1 Gbit/s"} for name in ("old", "b", "c", "d")]
    return Inventory.read(machines, hosts)


EXAMPLES: Final[Mapping[str, Callable[[], Inventory]]] = {"even": example, "busy": busy}
"""Fleets by name."""
