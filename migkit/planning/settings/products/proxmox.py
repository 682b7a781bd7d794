"""Proxmox VE: ``datacenter.cfg``, and the options of a virtual machine that ``qm set`` writes."""

from __future__ import annotations

import dataclasses
import difflib
import ipaddress
import math
import re
from collections.abc import Iterator, Sequence
from typing import Final

from migkit.planning.settings import checks
from migkit.planning.settings.document import Document, Entry
from migkit.planning.settings.finding import Check, Rule, Trouble
from migkit.planning.settings.option import B_PER_S, KIB_PER_S, MBIT_PER_S, MIB_PER_S, MS, Option, S, Unit, Value
from migkit.planning.settings.product import Product, Snippet, Values, text_of
from migkit.planning.settings.products import keywords
from migkit.scenario import Policy, Scenario

__all__ = ["PROXMOX"]

_DATACENTER: Final = "https://pve.proxmox.com/pve-docs/datacenter.cfg.5.html"
_QM: Final = "https://pve.proxmox.com/pve-docs/qm.1.html"
_MIGRATE: Final = "https://github.com/proxmox/qemu-server/blob/master/src/PVE/QemuMigrate.pm"
_SERVER: Final = "https://github.com/proxmox/qemu-server/blob/master/src/PVE/QemuServer.pm"
_CLUSTER: Final = "datacenter.cfg"


def _cluster(*path: str, **what: object) -> Option:
    return Option(kind=_CLUSTER, path=path, source=_DATACENTER, **what)  # type: ignore[arg-type]


def _rate(kind: str, *path: str, source: str) -> Option:
    return Option(
        kind=kind,
        path=path,
        source=source,
        form="number",
        unit=KIB_PER_S,
        low=0,
        zero_is_unlimited=True,
        likely=(10_240, 50_000_000),
        mistaken=(MIB_PER_S, MBIT_PER_S, B_PER_S),
    )


def _bwlimit(name: str) -> Option:
    return _rate(_CLUSTER, "bwlimit", name, source=_DATACENTER)


_MB_PER_S: Final = Unit("MiB/s", 2.0**20)  # written MB/s, multiplied by 1024 twice (PVE/QemuMigrate.pm)


def _machine(kind: str, *place: str) -> tuple[Option, ...]:
    """Return the options of a virtual machine, in its file or as flags of ``qm set``."""
    return (
        Option(
            kind=kind,
            path=(*place, "migrate_speed"),
            source=_QM,
            unit=_MB_PER_S,
            low=0,
            default=math.inf,
            zero_is_unlimited=True,
            likely=(8, 50_000),
            mistaken=(MBIT_PER_S, KIB_PER_S, B_PER_S),
        ),
        Option(
            kind=kind,
            path=(*place, "migrate_downtime"),
            source=_QM,
            form="number",
            unit=S,
            low=0,
            high=2000,
            default=0.1,
            step=0.001,
            likely=(0.01, 30),
            mistaken=(MS,),
        ),
    )


_MOVED: Final = (
    *("online", "force", "with-local-disks", "with-conntrack-state"),  # given alone, or with 0 or 1
    *("migration_network", "targetstorage"),
)
OPTIONS: Final = (
    dataclasses.replace(_bwlimit("migration"), default=math.inf),
    *(_bwlimit(name) for name in ("default", "clone", "move", "restore")),
    _cluster("migration", "type", form="word", choices=("secure", "insecure"), default="secure"),
    _cluster("migration", "network", form="text"),
    _cluster(
        "migration_unsecure", form="switch", deprecated='deprecated; use "migration: insecure" or "migration: secure"'
    ),
    _cluster("max_workers", low=1, up=False),
    *_machine("VM.conf"),
    *_machine("qm", "set"),
    _rate("qm", "migrate", "bwlimit", source=_QM),
    Option(kind="qm", path=("migrate", "migration_type"), source=_QM, form="word", choices=("secure", "insecure")),
    *(Option(kind="qm", path=("migrate", name), source=_QM, form="text") for name in _MOVED),
)


def _said(documents: Sequence[Document]) -> dict[str, Value]:
    """Return what older and general options say where the special one says nothing."""
    said: dict[str, Value] = {}
    for document in checks.each(documents, _CLUSTER):
        general = document.get("bwlimit", "default")
        option = _bwlimit("default")
        special = document.get("bwlimit", "migration")
        if general is not None and special is None and not option.outside(general.text):
            said["migration"] = option.read(general.text)
        if document.on("migration_unsecure") and document.get("migration", "type") is None:
            said["type"] = "insecure"
    return said


def _settle(values: Values, case: Scenario) -> Scenario:
    """Return the scenario under Proxmox's rule: the lower of two caps, auto-converge and XBZRLE always."""
    cap = min(float(values.get("bwlimit", values["migration"])), float(values["migrate_speed"]))
    limits = {} if math.isinf(cap) else {"max_bandwidth_bytes_per_s": cap}
    policy = Policy.named(
        "proxmox",
        downtime_limit_s=float(values["migrate_downtime"]),
        secure=float(values.get("migration_type", values["type"]) == "secure"),
        **limits,
    )
    strategy = dataclasses.replace(case.strategy, name="precopy", auto_converge=True)
    together = max(case.link.migrations, int(values.get("max_workers", 1)))
    link = dataclasses.replace(case.link, migrations=together)
    return dataclasses.replace(case, policy=policy, strategy=strategy, link=link)


def _write(given: Values, values: Values) -> tuple[Snippet, ...]:
    lines = []
    if "migration" in given:
        lines.append(f"bwlimit: migration={text_of(PROXMOX, given, 'migration')}")
    if "type" in given:
        lines.append(f"migration: {text_of(PROXMOX, given, 'type')}")
    if "max_workers" in given:
        lines.append(f"max_workers: {text_of(PROXMOX, given, 'max_workers')}")
    flags = [
        f"--{name} {text_of(PROXMOX, given, name)}" for name in ("migrate_speed", "migrate_downtime") if name in given
    ]
    found = [Snippet(_CLUSTER, "/etc/pve/datacenter.cfg", "\n".join(lines) + "\n")] if lines else []
    if flags:
        found.append(Snippet("qm", "a shell of the node, once for each VM", f"qm set 100 {' '.join(flags)}\n"))
    return tuple(found)


def _both_unsecure(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    entry = document.get("migration_unsecure")
    if entry is not None and any(document.all("migration")):
        yield Trouble(entry.line, "migration_unsecure is ignored beside migration", "remove it")


def _lower_wins(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    """Yield the higher of two caps, of the cluster and of the machine, which does nothing."""
    entry = document.get("migrate_speed") or document.get("set", "migrate_speed")
    own = next(option for option in OPTIONS if option.kind == document.kind and option.name == "migrate_speed")
    if entry is None or own.outside(entry.text):
        return
    for cluster in checks.each(documents, _CLUSTER):
        line = cluster.get("bwlimit", "migration") or cluster.get("bwlimit", "default")
        option = _bwlimit("migration")
        if line is None or option.outside(line.text):
            continue
        here, there = float(own.read(entry.text)), float(option.read(line.text))
        if here > there and not math.isinf(here):
            what = f"migrate_speed = {entry.text} MiB/s does nothing: bwlimit of {line.text} KiB/s is lower"
            yield Trouble(entry.line, what, f"raise bwlimit in {cluster.file}, line {line.line}, or remove this")


def _machine_in_cluster(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    for entry in document.entries:
        if entry.path[-1] in ("migrate_speed", "migrate_downtime"):
            what = f"{entry.path[-1]} does nothing in datacenter.cfg: it is an option of a VM"
            yield Trouble(entry.line, what, f"qm set VMID --{entry.path[-1]} {entry.text}")


def _cluster_in_machine(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    for entry in document.entries:
        if entry.path[0] in ("bwlimit", "migration", "max_workers"):
            what = f"{entry.path[0]} does nothing in the file of a VM: it is an option of the cluster"
            yield Trouble(entry.line, what, "move it to /etc/pve/datacenter.cfg")


def _network(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    entry = document.get("migration", "network")
    if entry is None:
        return
    try:
        ipaddress.ip_network(entry.text)
    except ValueError:
        what = f"migration network = {entry.text} is no network in CIDR notation"
        yield Trouble(entry.line, what, "write the address of the network with its length, as in 10.1.2.0/24")


def _secure(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    entry = document.get("migration", "type")
    if entry is None or entry.text.strip() == "secure":
        line = document.first_line if entry is None else entry.line
        what = "migrations go through an SSH tunnel, which one processor encrypts"
        yield Trouble(line, what, 'on a private network of its own set "migration: insecure" for full speed')


def _below(document: Document, entry: object) -> bool:
    path = getattr(entry, "path", ("",))
    return len(path) == 2 and path[0] in ("migration", "bwlimit")


def _bound(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    """Yield devices of this one host; a serial port that is a socket and a USB port of SPICE are made anew."""
    for entry in document.entries:
        made_anew = entry.text == "socket" or re.search(r"(^|host=)spice\b", entry.text)
        if re.fullmatch(r"(hostpci|usb|serial|parallel|virtiofs)\d+|ivshmem", entry.path[0]) and not (
            made_anew or _is_mapped_pci(entry)
        ):
            what = f"{entry.path[0]} is a device of this host, so the VM cannot be migrated while it runs"
            yield Trouble(entry.line, what, "remove the device before the move, or move the VM when it is off")


def _mapped(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    for entry in document.entries:
        if _is_mapped_pci(entry):
            what = f"{entry.path[0]} can be migrated live only where its mapping is marked live-migration-capable"
            yield Trouble(entry.line, what, "look at the mapping in Datacenter, Resource Mappings")


def _is_mapped_pci(entry: Entry) -> bool:
    return entry.path[0].startswith("hostpci") and "mapping=" in entry.text


def _unknown_flag(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    for entry in document.entries:
        command, flag = entry.path[0], entry.path[-1]
        known = _FLAGS.get(command, (flag,))
        if flag not in known and (command == "migrate" or flag.rstrip("0123456789") not in known):
            near = difflib.get_close_matches(flag, known, n=1)
            advice = f"did you mean --{near[0]}?" if near else "leave it out"
            yield Trouble(entry.line, f"qm {command} has no --{flag}", advice)


_FLAGS: Final = {
    "migrate": tuple(option.name for option in OPTIONS if option.path[0] == "migrate"),
    "set": (
        *keywords.VM,
        "delete",
        "digest",
        "force",
        "revert",
        "skiplock",
        "background_delay",
        "import-working-storage",
    ),
}


def _rule(name: str, level: str, kinds: tuple[str, ...], why: str, source: str, check: Check) -> Rule:
    return Rule(name=f"proxmox-{name}", level=level, kinds=kinds, why=why, source=source, check=check)


_MACHINE: Final = ("VM.conf", "qm")
RULES: Final = (
    *checks.of_options(OPTIONS),
    _rule("unsecure-ignored", "warning", (_CLUSTER,), "The newer option counts.", _DATACENTER, _both_unsecure),
    _rule("lower-cap", "warning", _MACHINE, "Proxmox takes the lower of the two.", _MIGRATE, _lower_wins),
    _rule("machine-option", "error", (_CLUSTER,), "Each file has its own options.", _QM, _machine_in_cluster),
    _rule(
        "cluster-option", "error", ("VM.conf",), "Each file has its own options.", _DATACENTER, _cluster_in_machine
    ),
    _rule("network", "error", (_CLUSTER,), "The value is refused.", _DATACENTER, _network),
    _rule("tunnel", "note", (_CLUSTER,), "The tunnel is the default.", _DATACENTER, _secure),
    _rule("unknown", "error", (_CLUSTER,), "It is refused.", _DATACENTER, checks.unknown(OPTIONS, _below)),
    _rule(
        "unknown-in-cluster",
        "warning",
        (_CLUSTER,),
        "Proxmox leaves it out, with a warning in its log.",
        _DATACENTER,
        checks.foreign((*keywords.DATACENTER, "migrate_speed", "migrate_downtime")),
    ),
    _rule(
        "unknown-in-machine",
        "warning",
        ("VM.conf",),
        "Proxmox leaves it out, with a warning in its log.",
        _QM,
        checks.foreign((*keywords.VM, "bwlimit", "migration", "max_workers")),
    ),
    _rule("unread", "error", (_CLUSTER, "VM.conf"), "Proxmox skips the line.", _DATACENTER, checks.unread),
    _rule("local-device", "error", ("VM.conf",), "It is tied to its host.", _SERVER, _bound),
    _rule("mapped-device", "note", ("VM.conf",), "Another host must have the same.", _SERVER, _mapped),
    _rule("unknown-flag", "error", ("qm",), "qm refuses the command.", _QM, _unknown_flag),
    _rule("twice", "warning", (_CLUSTER, "VM.conf"), "One of the lines is in force.", _DATACENTER, checks.repeated),
)

PROXMOX: Final = Product(
    name="proxmox",
    title="Proxmox VE 8 and 9",
    options=OPTIONS,
    rules=RULES,
    settle=_settle,
    said=_said,
    write=_write,
    cap="migration",
    downtime_limit="migrate_downtime",
    together="max_workers",
    cures=("max_workers", "migration", "migrate_speed", "migrate_downtime"),
    cannot=(
        "post-copy, several streams and compression cannot be set in Proxmox",
        "auto-converge and XBZRLE are always on, and no time ends a migration",
    ),
)
