"""Generated fleets: sizes and rates as in clusters, the same for the same seed."""

import numpy as np
import pandas as pd

from migkit import Guest, Host, Policy, Scenario
from migkit.planning.inventory import Inventory

GIB = 2**30
UNCAPPED = Scenario(
    guest=Guest(memory_bytes=GIB),
    host=Host(platform="qemu-tcg"),
    policy=Policy(name="qemu", max_bandwidth_bytes_per_s=float("inf")),
)


def fleet(hosts, vms, seed=0, **columns):
    """Return a fleet with even load; ``columns`` replace or add columns of the hosts."""
    draw = np.random.default_rng(seed)
    memory = draw.choice([2, 4, 8, 16, 32, 64], vms, p=[0.2, 0.25, 0.25, 0.15, 0.1, 0.05]) * GIB
    rate = np.minimum(np.minimum(draw.lognormal(16, 1.2, vms), 0.3 * memory), 2e8)
    machines = pd.DataFrame(
        {
            "vm": [f"v{k}" for k in range(vms)],
            "host": [f"h{k % hosts}" for k in range(vms)],
            "memory_bytes": memory,
            "processors": memory / 2**32,
            "dirty_rate_bytes_per_s": rate,
            "dirty_window_s": 1.0,
            "anti_affinity": [f"g{k // 4}" if k < vms // 5 else None for k in range(vms)],
        }
    )
    servers = {
        "host": [f"h{k}" for k in range(hosts)],
        "memory_bytes": 512 * GIB,
        "processors": 256.0,
        "link": "25 Gbit/s",
    }
    return Inventory.read(machines, pd.DataFrame(servers | columns))


def small(vms, hosts="abc", memory="64 GiB", link="10 Gbit/s", **columns):
    """Return a fleet of rows, each host the same."""
    return Inventory.read(vms, [{"host": name, "memory": memory, "link": link} | columns for name in hosts])
