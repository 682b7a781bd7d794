"""Foreign inventories: which tool writes which column, in which unit, and which rows are running machines.

Sources of the facts: RVTools' sheets vInfo and vHost (https://www.robware.net), OpenStack's ``server list --long``,
``server show`` and ``hypervisor list --long`` (https://docs.openstack.org/python-openstackclient), KubeVirt's
VirtualMachineInstance (https://kubevirt.io/api-reference), Kubernetes' Node and quantities
(https://kubernetes.io/docs/reference/kubernetes-api), libvirt's ``virsh domstats`` and ``virsh nodeinfo``
(https://libvirt.org/manpages/virsh.html).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from migkit.units import GIB, KIB, MIB

__all__ = ["FORMS", "UNITS", "Form", "Source", "form_of", "from_quantity", "source_of"]

UNITS: Final[Mapping[str, float]] = {
    **{"B": 1.0, "KiB": float(KIB), "MiB": float(MIB), "GiB": float(GIB), "TiB": 1024.0 * GIB},
    **{"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12},
    **{"Mbit/s": 1e6 / 8, "Gbit/s": 1e9 / 8, "MB/s": 1e6, "MiB/s": float(MIB), "B/s": 1.0},
    **{"s": 1.0, "ms": 1e-3, "min": 60.0, "pages": 4096.0},
}
_QUANTITY: Final = re.compile(r"([0-9.]+)(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?")
_SUFFIXES: Final = {
    **{"": 1.0, "m": 1e-3},
    **{letter: 1e3**power for power, letter in enumerate("kMGTP", 1)},
    **{f"{letter}i": 1024.0**power for power, letter in enumerate("KMGTP", 1)},
}


class Source(NamedTuple):
    """Where a value comes from: columns that are tried in turn, and the unit of its numbers."""

    names: tuple[str, ...]
    unit: str = ""


class Form(NamedTuple):
    """The table of one tool.

    Attributes
    ----------
    name
        What the tool is called.
    table
        ``vms`` or ``hosts``.
    signature
        Columns that only this tool writes.
    columns
        Our column by where it comes from.
    only
        Rows that count have one of these values in each of these columns.
    """

    name: str
    table: str
    signature: tuple[str, ...]
    columns: Mapping[str, Source]
    only: Mapping[str, tuple[str, ...]] = {}


def _form(
    name: str, table: str, signature: Sequence[str], only: Mapping[str, tuple[str, ...]] | None = None, **columns: str
) -> Form:
    return Form(name, table, tuple(signature), {ours: source_of(text) for ours, text in columns.items()}, only or {})


def source_of(text: str) -> Source:
    """Return what ``Their column [unit]`` says; ``|`` is between columns that are tried in turn.

    Examples
    --------
    >>> source_of("Memory [MiB]"), source_of("ram|memory")
    (Source(names=('Memory',), unit='MiB'), Source(names=('ram', 'memory'), unit=''))
    """
    found = re.fullmatch(r"\s*(.+?)\s*(?:\[([^\]]+)\])?\s*", text)
    names, unit = found.groups() if found else (text, None)
    return Source(tuple(name.strip() for name in names.split("|")), unit or "")


_DOMAIN: Final = "spec.domain."
FORMS: Final[tuple[Form, ...]] = (
    _form(
        "RVTools vInfo",
        "vms",
        ("VM", "Powerstate", "Template"),
        {"Powerstate": ("poweredOn",), "Template": ("False", "false", "FALSE", "0", "")},
        vm="VM",
        host="Host",
        memory_bytes="Memory [MiB]",
        processors="CPUs",
    ),
    _form(
        "RVTools vHost",
        "hosts",
        ("Host", "# VMs", "# Memory"),
        host="Host",
        memory_bytes="# Memory [MiB]",
        processors="# Cores",
        cluster="Cluster",
    ),
    _form(
        "openstack server",
        "vms",
        ("OS-EXT-SRV-ATTR:host|Host", "Status|status", "flavor.ram|Flavor.ram|ram"),
        {"Status|status": ("ACTIVE",)},
        vm="Name|name|ID|id",
        host="OS-EXT-SRV-ATTR:host|Host",
        memory_bytes="flavor.ram|Flavor.ram|ram [MiB]",
        processors="flavor.vcpus|Flavor.vcpus|vcpus",
    ),
    _form(
        "openstack hypervisor",
        "hosts",
        ("Hypervisor Hostname|hypervisor_hostname", "Memory MB|memory_mb"),
        host="Hypervisor Hostname|hypervisor_hostname",
        memory_bytes="Memory MB|memory_mb [MiB]",
        processors="vCPUs|vcpus",
    ),
    _form(
        "kubectl get vmi",
        "vms",
        ("metadata.name", "status.nodeName", _DOMAIN + "memory.guest|" + _DOMAIN + "resources.requests.memory"),
        {"status.phase": ("Running",)},
        vm="metadata.namespace/metadata.name",
        host="status.nodeName",
        memory_bytes=_DOMAIN + "memory.guest|" + _DOMAIN + "resources.requests.memory [quantity]",
        processors=_DOMAIN + "cpu.cores",
    ),
    _form(
        "kubectl get nodes",
        "hosts",
        ("metadata.name", "status.allocatable.memory"),
        host="metadata.name",
        memory_bytes="status.allocatable.memory [quantity]",
        processors="status.allocatable.cpu [quantity]",
    ),
    _form(
        "virsh domstats",
        "vms",
        ("balloon.maximum", "vcpu.maximum|vcpu.current"),
        vm="name|domain|vm",
        host="host|hostname|node",
        memory_bytes="balloon.maximum [KiB]",
        processors="vcpu.current|vcpu.maximum",
    ),
    _form(
        "virsh nodeinfo",
        "hosts",
        ("CPU(s)", "Memory size"),
        host="host|hostname|node",
        memory_bytes="Memory size [KiB]",
        processors="CPU(s)",
    ),
)


def form_of(table: str, names: Sequence[str]) -> Form | None:
    """Return the tool that writes such columns; None: the columns are migkit's own.

    Examples
    --------
    >>> form_of("vms", ["VM", "Powerstate", "Template", "Host", "Memory"]).name
    'RVTools vInfo'
    """
    known = set(names)

    def present(choice: str) -> bool:
        return any(name in known for name in choice.split("|"))

    return next((form for form in FORMS if form.table == table and all(map(present, form.signature))), None)


def from_quantity(text: Any) -> float:
    """Return the number of a quantity of Kubernetes, such as ``16Gi``, ``500m`` or ``64``.

    Raises
    ------
    ValueError
        It is none.

    Examples
    --------
    >>> from_quantity("16Gi") == 16 * 2**30, from_quantity("500m")
    (True, 0.5)
    """
    found = _QUANTITY.fullmatch(str(text).strip())
    if found is None:
        raise ValueError(f"{text!r} is no quantity of Kubernetes such as 16Gi")
    return float(found[1]) * _SUFFIXES[found[2] or ""]
