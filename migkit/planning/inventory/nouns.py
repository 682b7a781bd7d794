"""What an inventory says of a virtual machine and of a host: each field declared once, as in a scenario."""

from __future__ import annotations

import dataclasses
import math

from migkit.scenario import DirtyClass
from migkit.scenario.form.declaration import Field, declared, documented, rule
from migkit.units import PAGE_BYTES

__all__ = ["HOSTS", "VMS", "Machine", "Server", "class_field", "fields"]


@documented
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One row of the virtual machines.

    Page classes stand in columns of their own, numbered as in :func:`migkit.models.bulk.many.predict_many`:
    ``dirty_1_region_bytes``, ``dirty_1_writes_per_s``, ``dirty_1_kind``. A row says in one way at most how the
    machine dirties its memory: by classes, by a profile, by a measured rate with its window, or by a named workload.
    """

    vm: str = dataclasses.field(metadata=rule("Name; no two machines share one."))
    host: str = dataclasses.field(metadata=rule("Host that the machine runs on."))
    memory_bytes: int = dataclasses.field(metadata=rule("RAM of the machine.", low=PAGE_BYTES))
    zero_bytes: int = dataclasses.field(default=0, metadata=rule("RAM that was never touched, so that it is zero."))
    processors: float = dataclasses.field(default=0.0, metadata=rule("Processors that a host must have for it."))
    priority: float = dataclasses.field(
        default=0.0, metadata=rule("Machines of a higher number move first.", low=-math.inf)
    )
    downtime_limit_s: float | None = dataclasses.field(
        default=None, metadata=rule("Longest downtime allowed; missing: the policy's.", above=True)
    )
    anti_affinity: str | None = dataclasses.field(
        default=None, metadata=rule("Group; no two machines of a group may be on one host.")
    )
    pinned: str | None = dataclasses.field(
        default=None, metadata=rule("Why the machine cannot migrate, or yes; no or missing: it can.")
    )
    local_disk_bytes: float = dataclasses.field(
        default=0.0, metadata=rule("Disks on the host's own storage, which are copied along.")
    )
    profile: str | None = dataclasses.field(
        default=None, metadata=rule("File of a dirty profile that ``migkit dirty`` wrote.")
    )
    workload: str | None = dataclasses.field(
        default=None, metadata=rule("Named workload whose dirty curve is known.")
    )
    dirty_rate_bytes_per_s: float | None = dataclasses.field(
        default=None, metadata=rule("Measured rate of unique dirty pages.")
    )
    dirty_window_s: float | None = dataclasses.field(
        default=None, metadata=rule("Window in which that rate was measured.", above=True)
    )


@documented
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One row of the hosts."""

    host: str = dataclasses.field(metadata=rule("Name; no two hosts share one."))
    memory_bytes: float = dataclasses.field(metadata=rule("RAM for machines.", low=PAGE_BYTES))
    link_bytes_per_s: float = dataclasses.field(
        metadata=rule("What its network carries of migrations, each way.", low=1.0)
    )
    processors: float = dataclasses.field(
        default=math.inf, metadata=rule("Processors for machines, over-commitment included.", above=True)
    )
    nic: str | None = dataclasses.field(
        default=None, metadata=rule("Network path; hosts that name the same one share it. Missing: its own.")
    )
    pool: str | None = dataclasses.field(
        default=None,
        metadata=rule("Shared storage; machines without local disks move between hosts of one pool only."),
    )
    cluster: str | None = dataclasses.field(
        default=None, metadata=rule("Cluster; machines move between hosts of one cluster only.")
    )
    local_disk_bytes: float = dataclasses.field(
        default=math.inf, metadata=rule("Storage of its own for disks that are copied along.")
    )


VMS = declared(Machine)
HOSTS = declared(Server)
_OF_CLASSES = {field.name: field for field in declared(DirtyClass) if field.is_column}


def class_field(name: str) -> Field | None:
    """Return the field of a page class that a column is called after; None if there is none.

    Examples
    --------
    >>> class_field("dirty_2_region_bytes").kind, class_field("dirty_1_age")
    ('size', None)
    """
    head, _, rest = name.partition("_")
    number, _, field = rest.partition("_")
    found = _OF_CLASSES.get(field) or next((f for f in _OF_CLASSES.values() if f.key == field), None)
    return found if head == "dirty" and number.isdigit() and number[0] != "0" else None


def fields(table: str) -> tuple[Field, ...]:
    """Return the fields of ``vms`` or ``hosts``.

    Examples
    --------
    >>> [field.name for field in fields("hosts")][:3]
    ['host', 'memory_bytes', 'link_bytes_per_s']
    """
    return VMS if table == "vms" else HOSTS
