"""Which machines of a fleet never converge, by class and by what a migration gets of a link."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from migkit.errors import UsageError
from migkit.planning.durations import tabulate
from migkit.scenario import Guest, Scenario
from migkit.units import format_size

if TYPE_CHECKING:
    import pandas as pd

    from migkit.planning.inventory import Inventory

__all__ = ["SHARES_BYTES_PER_S", "never_converging"]

SHARES_BYTES_PER_S: Final = tuple(1e9 / 8 * rate for rate in (0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 40.0, 100.0))


def never_converging(
    inventory: Inventory,
    base: Scenario | None = None,
    *,
    shares_bytes_per_s: Sequence[float] = SHARES_BYTES_PER_S,
    by: str = "memory",
) -> tuple[pd.DataFrame, pd.Series]:
    """Return which part of the machines of each class never converges on each share of a link.

    Parameters
    ----------
    inventory
        Machines and hosts; the links of the hosts do not count.
    base
        Policy, strategy and constants of the hosts; its guest and its bandwidth do not count. None: the defaults.
    shares_bytes_per_s
        What a migration gets of a link [B/s].
    by
        What makes a class: ``memory`` or ``host``.

    Returns
    -------
    parts
        One row a class, one column a share; cells from 0 to 1.
    counts
        How many machines each class has.

    Raises
    ------
    UsageError
        There is no such class, or no share.

    Examples
    --------
    >>> from migkit import Policy
    >>> from migkit.planning.inventory import Inventory
    >>> fast = Scenario(guest=Guest(memory_bytes=4096), policy=Policy(max_bandwidth_bytes_per_s=1e11))
    >>> hosts = [{"host": "a", "memory": "64 GiB", "link": "10 Gbit/s"}]
    >>> fleet = Inventory.read([{"vm": "x", "host": "a", "memory": "4 GiB", "dirty_rate": "300 MB/s",
    ...                          "dirty_window": "1 s"}], hosts)
    >>> never_converging(fleet, fast, shares_bytes_per_s=[1.25e8, 1.25e9])[0].to_dict("index")
    {'4 GiB': {125000000.0: 1.0, 1250000000.0: 0.0}}
    """
    import pandas as pd

    if by not in ("memory", "host"):
        raise UsageError(f"by: {by!r} is no class of machines; use memory or host")
    shares = [float(share) for share in shares_bytes_per_s]
    if not shares or not all(share > 0 for share in shares):
        raise UsageError(f"shares_bytes_per_s: {shares} must be one share or more, each above 0 B/s")
    vms = inventory.vms
    base = base if base is not None else Scenario(guest=Guest(memory_bytes=4096))
    table = tabulate(vms, base, max(shares))
    least = np.where(table.proportional, 0.0, table.rates_bytes_per_s[:, 0])
    least = np.where(table.ends, least, np.inf)
    stuck = pd.DataFrame({share: np.where(share >= least, 0.0, 1.0) for share in shares})
    key = vms["memory_bytes"] if by == "memory" else vms["host"]
    groups = stuck.groupby(key.to_numpy(), sort=by == "memory")
    parts, counts = groups.mean(), groups.size()
    names = [format_size(float(one)) for one in parts.index] if by == "memory" else list(parts.index)
    return parts.set_axis(names), counts.set_axis(names)
