"""Settings of a product, and commands of a plan, as texts to paste."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final

from migkit.errors import InfeasibleError
from migkit.planning.settings.advise import advise
from migkit.planning.settings.catalogue import PRODUCTS
from migkit.reports.page import paragraphs, snippet
from migkit.units import format_duration

if TYPE_CHECKING:
    import pandas as pd

    from migkit.planning.targets import Targets
    from migkit.scenario import Scenario

__all__ = ["commands", "settings"]

_FAMILIES: Final = {"openshift": "openshift", "kubevirt": "kubevirt", "nova": "nova", "libvirt": "libvirt",
                    "proxmox": "proxmox", "ovirt": "ovirt", "incus": "incus", "qemu": "qemu"}  # fmt: skip
_ORDERS: Final = {
    "nova": "openstack --os-compute-api-version 2.30 server migrate --live-migration --host {to} {vm}",
    "proxmox": "qm migrate {vm} {to} --online",
    "libvirt": "virsh --connect qemu+ssh://{host}/system migrate --live {vm} qemu+ssh://{to}/system",
    "qemu": "virsh --connect qemu+ssh://{host}/system migrate --live {vm} qemu+ssh://{to}/system",
}


def _product(policy: str) -> str | None:
    return next((product for name, product in _FAMILIES.items() if policy.startswith(name)), None)


def settings(case: Scenario, targets: Targets) -> str:
    """Return the settings of the product behind the policy with which a scenario keeps its limits.

    They are what :func:`migkit.advise` finds, read back and predicted.
    """
    product = _product(case.policy.name)
    if product is None:
        return paragraphs([f"{case.policy.name} has no settings that migkit knows how to write."])
    try:
        found = advise(case, product, targets)
    except InfeasibleError as error:
        return paragraphs([str(error)])
    times = f"total time {format_duration(found.result.total_time_s)}, "
    times += f"downtime {format_duration(found.result.downtime_s)}"
    first = f"{found.product}: {found.manner}. Predicted under what is below: {times}."
    return "\n".join([paragraphs([first]), *(snippet(one.place, one.text) for one in found.snippets)])


def commands(moves: pd.DataFrame, policy: str) -> str:
    """Return the moves of a plan, each as the command that asks for it, in their order.

    Where the manager does not let one choose the destination, there is none.
    """
    product = _product(policy)
    order = _ORDERS.get(product or "")
    assert product is None or product in PRODUCTS
    if order is None:
        return paragraphs(
            [f"The rule {policy} belongs to no manager with a command that names machine and destination."]
        )
    rows: list[Any] = moves.to_dict("records")
    lines = [
        f"# wave {row['wave']}, {row['kind']}, at {format_duration(row['start_s'])}, "
        f"until {format_duration(row['end_s'])}\n"
        + order.format(host=shlex.quote(row["source"]), vm=shlex.quote(row["vm"]), to=shlex.quote(row["destination"]))
        for row in rows
    ]
    return snippet("each move, in order; start it at the time that stands above it", "\n".join(lines))
