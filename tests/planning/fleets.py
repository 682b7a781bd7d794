"""Fleets of tests, and the scenario behind them."""

from migkit import Guest, Host, Policy, Scenario
from migkit.planning.inventory import Inventory
from migkit.planning.inventory.examples import example as fleet

__all__ = ["GIB", "UNCAPPED", "fleet", "small"]

GIB = 2**30
UNCAPPED = Scenario(
    guest=Guest(memory_bytes=GIB),
    host=Host(platform="qemu-tcg"),
    policy=Policy(name="qemu", max_bandwidth_bytes_per_s=float("inf")),
)


def small(vms, hosts="abc", memory="64 GiB", link="10 Gbit/s", **columns):
    """Return a fleet of rows, each host the same."""
    return Inventory.read(vms, [{"host": name, "memory": memory, "link": link} | columns for name in hosts])
