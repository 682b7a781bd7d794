"""libvirt: the commands of virsh that start and steer a migration, and its configuration files."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterator, Sequence
from typing import Final

from migkit.planning.settings import checks
from migkit.planning.settings.document import Document
from migkit.planning.settings.finding import Check, Rule, Trouble
from migkit.planning.settings.option import (
    B_PER_S,
    BYTES,
    KIB_PER_S,
    MBIT_PER_S,
    MIB_PER_S,
    MS,
    PERCENT,
    Option,
    S,
    Unit,
    Value,
)
from migkit.planning.settings.product import Manner, Product, Snippet, Values, text_of
from migkit.planning.settings.products import keywords
from migkit.scenario import Policy, Scenario

__all__ = ["LIBVIRT"]

_VIRSH: Final = "https://www.libvirt.org/manpages/virsh.html"
_QEMU_CONF: Final = "https://gitlab.com/libvirt/libvirt/-/blob/master/src/qemu/qemu.conf.in"
_CLIENT_CONF: Final = "https://libvirt.org/uri.html"
_DAEMON_CONF: Final = "https://gitlab.com/libvirt/libvirt/-/blob/master/src/remote/libvirtd.conf.in"
_MIGRATION: Final = "https://libvirt.org/migration.html"
_FEW_MIB: Final = (8, 50_000)


def _virsh(command: str, name: str, **what: object) -> Option:
    return Option(kind="virsh", path=(command, name), source=f"{_VIRSH}#{command}", **what)  # type: ignore[arg-type]


def _rate(command: str, name: str, **what: object) -> Option:
    return _virsh(
        command, name, unit=MIB_PER_S, likely=_FEW_MIB, mistaken=(MBIT_PER_S, KIB_PER_S, B_PER_S), low=1, **what
    )


def _switch(name: str) -> Option:
    return _virsh("migrate", name, form="text")


def _conf(name: str, **what: object) -> Option:
    return Option(kind="qemu.conf", path=(name,), source=_QEMU_CONF, **what)  # type: ignore[arg-type]


_PORT: Final = Unit("", 1.0)
OPTIONS: Final = (
    _rate("migrate", "bandwidth", default=math.inf),
    _rate("migrate-setspeed", "bandwidth"),
    _virsh(
        "migrate-setmaxdowntime",
        "downtime",
        unit=MS,
        low=0,
        high=2_000_000,
        default=0.3,
        likely=(10, 60_000),
        mistaken=(S,),
    ),
    _virsh("migrate", "parallel-connections", low=1, high=255, default=1.0),
    _virsh("migrate", "timeout", unit=S, low=1, likely=(1, 86_400), mistaken=(MS,)),
    _rate("migrate", "postcopy-bandwidth"),
    _rate("migrate", "available-switchover-bandwidth"),
    _virsh("migrate", "auto-converge-initial", unit=PERCENT, low=1, high=99, default=0.2),
    _virsh("migrate", "auto-converge-increment", unit=PERCENT, low=1, high=99, default=0.1),
    _virsh("migrate", "comp-methods", form="text"),
    _virsh("migrate", "comp-xbzrle-cache", unit=BYTES, low=4096),
    _virsh("migrate", "comp-zlib-level", low=0, high=9, default=1.0),
    _virsh("migrate", "comp-zstd-level", low=0, high=20, default=1.0),
    _virsh("migrate-compcache", "size", unit=BYTES, low=4096),
    *(
        _switch(name)
        for name in ("live", "auto-converge", "postcopy", "postcopy-after-precopy", "timeout-postcopy", "parallel")
    ),
    *(_switch(name) for name in ("compressed", "tls", "tunnelled", "p2p", "zerocopy", "timeout-suspend")),
    _conf("migration_port_min", low=1, high=65_535, default=49_152.0),
    _conf("migration_port_max", low=1, high=65_535, default=49_215.0),
    _conf("migration_host", form="text"),
    _conf("migration_address", form="text"),
    _conf("migrate_tls_force", form="switch", default=False),
    _conf("migrate_tls_x509_cert_dir", form="text"),
    _conf("keepalive_interval", unit=S, low=-1, default=5.0),
    _conf("keepalive_count", low=0, default=5.0),
)
_QEMU_ONLY: Final = tuple(option.name for option in OPTIONS if option.kind == "qemu.conf")


def _said(documents: Sequence[Document]) -> dict[str, Value]:
    """Return the switches of the commands, which have no values."""
    said: dict[str, Value] = {}
    for document in checks.each(documents, "virsh"):
        for entry in document.all("migrate"):
            if len(entry.path) == 2 and entry.text == "":
                said[entry.path[1]] = True
        if any(document.all("migrate-postcopy")):
            said["migrate-postcopy"] = True
    return said


def _settle(values: Values, case: Scenario) -> Scenario:
    """Return the scenario under libvirt's defaults, QEMU's rule without its cap."""
    policy = Policy.named(
        "libvirt",
        max_bandwidth_bytes_per_s=values["bandwidth"],
        downtime_limit_s=values["downtime"],
        throttle_initial=values["auto-converge-initial"],
        throttle_increment=values["auto-converge-increment"],
        switchover_bandwidth_bytes_per_s=values.get("available-switchover-bandwidth", 0.0),
    )
    after_s = values["timeout"] if values.get("timeout-postcopy") and "timeout" in values else None
    hybrid = bool(values.get("postcopy-after-precopy") or values.get("migrate-postcopy") or after_s is not None)
    methods = str(values.get("comp-methods", "")).split(",")
    parallel = bool(values.get("parallel"))
    compression = next((one for one in ("zstd", "zlib") if one in methods and parallel), "none")
    strategy = dataclasses.replace(
        case.strategy,
        name="hybrid" if hybrid else "precopy",
        postcopy_after_s=float(after_s) if after_s is not None else None,
        auto_converge=bool(values.get("auto-converge")),
        streams=int(values["parallel-connections"]) if parallel else 1,
        compression=compression,
        xbzrle=bool(values.get("compressed")) and not parallel,
        tls=case.strategy.tls or bool(values.get("tls")),
    )
    return dataclasses.replace(case, policy=policy, strategy=strategy)


_POSTCOPY: Final = ("postcopy", "postcopy-after-precopy")


def _write(given: Values, values: Values) -> tuple[Snippet, ...]:
    """Return the commands, in the order in which they are given; a cap that is off is left out."""
    lines = []
    if "downtime" in given:
        lines.append(f"virsh migrate-setmaxdowntime web1 {text_of(LIBVIRT, given, 'downtime')}")
    flags = ["--live", *(f"--{name}" for name in ("auto-converge", *_POSTCOPY, "tls") if values.get(name))]
    if float(values["parallel-connections"]) > 1.0:
        flags.append(f"--parallel --parallel-connections {text_of(LIBVIRT, values, 'parallel-connections')}")
    if not math.isinf(float(values["bandwidth"])):
        flags.append(f"--bandwidth {text_of(LIBVIRT, values, 'bandwidth')}")
    start = f"virsh migrate {' '.join(flags)} web1 qemu+ssh://destination/system"
    return (
        Snippet(
            "virsh",
            "a shell of the source host, with your names in the place of web1 and destination",
            "\n".join([*lines, start]) + "\n",
        ),
    )


def _commands(document: Document) -> Iterator[dict[str, tuple[str, int]]]:
    """Yield the flags of each ``virsh migrate``, with texts and lines."""
    groups: dict[int, dict[str, tuple[str, int]]] = {}
    for entry in document.all("migrate"):
        groups.setdefault(entry.group, {})[entry.path[-1]] = (entry.text, entry.line)
    yield from groups.values()


def _needs(flag: str, other: str) -> Check:
    """Return a check for a flag of ``virsh migrate`` that does nothing, or is refused, without another."""

    def found(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
        for command in _commands(document):
            if flag in command and other not in command:
                yield Trouble(command[flag][1], f"--{flag} is given without --{other}", f"add --{other}")

    return found


def _unknown_flag(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    for entry in document.entries:
        command, flag = entry.path[0], entry.path[-1]
        known = (*_FLAGS.get(command, ()), *(option.name for option in OPTIONS if option.path[0] == command))
        if command in _FLAGS and len(entry.path) == 2 and flag not in known:
            near = difflib.get_close_matches(flag, known, n=1)
            advice = f"did you mean --{near[0]}?" if near else "leave it out"
            yield Trouble(entry.line, f"virsh {command} has no --{flag}", advice)


def _postcopy_never(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    started = any(any(one.all("migrate-postcopy")) for one in checks.each(documents, "virsh"))
    for command in _commands(document):
        if "postcopy" in command and not started and not command.keys() & _TRIGGERS:
            what = "--postcopy only permits post-copy; nothing here starts it"
            do = "add --postcopy-after-precopy, or --timeout with --timeout-postcopy, or run virsh migrate-postcopy"
            yield Trouble(command["postcopy"][1], what, do)


_TRIGGERS: Final = {"postcopy-after-precopy", "timeout-postcopy", "postcopy-resume"}
_FLAGS: Final = {  # of each command, beside its options above
    "migrate": (
        *("domain", "desturi", "migrateuri", "graphicsuri", "listen-address", "dname", "xml", "persistent-xml"),
        *("offline", "direct", "persistent", "undefinesource", "suspend", "unsafe", "verbose", "change-protection"),
        *("copy-storage-all", "copy-storage-inc", "copy-storage-synchronous-writes", "rdma-pin-all"),
        *("abort-on-error", "postcopy-resume", "migrate-disks", "migrate-disks-detect-zeroes", "disks-port"),
        *("disks-uri", "comp-mt-level", "comp-mt-threads", "comp-mt-dthreads", "tls-destination"),
    ),
    "migrate-setspeed": ("domain", "postcopy"),
    "migrate-setmaxdowntime": ("domain",),
    "migrate-compcache": ("domain",),
    "migrate-postcopy": ("domain",),
}


def _methods(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    for command in _commands(document):
        text, line = command.get("comp-methods", ("", 0))
        methods = set(text.split(",")) - {""}
        if "parallel" not in command and methods & {"zlib", "zstd"}:
            yield Trouble(line, f"--comp-methods {text} needs --parallel", "add --parallel")
        elif "parallel" in command and "xbzrle" in methods:
            yield Trouble(line, "xbzrle is given beside --parallel", "take zstd, or leave out --parallel")
        elif {"zlib", "zstd"} <= methods:
            yield Trouble(line, "zlib and zstd cannot be used at once", "keep one")
        if "parallel" in command and "compressed" in command and not methods:
            what = "--compressed beside --parallel has no default method"
            yield Trouble(command["compressed"][1], what, "add --comp-methods zstd")


def _tunnelled_parallel(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    for command in _commands(document):
        if "tunnelled" in command and "parallel" in command:
            what = "--tunnelled sends everything over the one connection of libvirt"
            yield Trouble(command["tunnelled"][1], what, "leave it out; take --tls for encryption")


def _power_of_two(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    for path in (("migrate", "comp-xbzrle-cache"), ("migrate-compcache", "size")):
        entry = document.get(*path)
        if entry is not None and entry.text.isdigit() and int(entry.text) & (int(entry.text) - 1):
            what = f"a cache of {entry.text} B is no power of two"
            yield Trouble(entry.line, what, f"write {1 << (int(entry.text).bit_length() - 1)}")


def _wrong_file(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    for entry in document.entries:
        if entry.path[-1] in _QEMU_ONLY and not (document.kind == "libvirtd.conf" and "keepalive" in entry.path[-1]):
            what = f"{entry.path[-1]} does nothing in {document.kind}"
            yield Trouble(entry.line, what, "move it to /etc/libvirt/qemu.conf")


def _localhost(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    for name in ("migration_host", "migration_address"):
        entry = document.get(name)
        if entry is not None and entry.text in ("localhost", "127.0.0.1", "::1"):
            what = f"{name} = {entry.text} sends the other host to itself"
            yield Trouble(entry.line, what, "write the name or address that the other hosts reach")


def _ports(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    least, most = document.get("migration_port_min"), document.get("migration_port_max")
    low = int(least.text) if least is not None and least.text.isdigit() else 49_152
    high = int(most.text) if most is not None and most.text.isdigit() else 49_215
    entry = least or most
    if entry is None:
        return
    if low > high:
        yield Trouble(entry.line, f"the ports from {low} to {high} are none", "swap them")
    elif low < 1024:
        what = f"the ports begin at {low}, which QEMU cannot open unless it runs as root"
        yield Trouble(entry.line, what, "begin at 1024 or above")


def _keepalive(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    entry = document.get("keepalive_interval")
    if entry is not None and entry.text.strip() == "-1":
        what = "no keepalive is sent, so a peer-to-peer migration over a broken connection waits for TCP"
        yield Trouble(entry.line, what, "set it to 5, the default")


def _rule(name: str, level: str, kind: str, why: str, source: str, check: Check, *more: str) -> Rule:
    return Rule(name=f"libvirt-{name}", level=level, kinds=(kind, *more), why=why, source=source, check=check)


_MIGRATE: Final = f"{_VIRSH}#migrate"
_CONFIGS: Final = ("libvirt.conf", "libvirtd.conf")
_FILES: Final = (
    _rule(
        "wrong-file",
        "error",
        _CONFIGS[0],
        "The QEMU driver reads qemu.conf alone; libvirt.conf is for clients.",
        _QEMU_CONF,
        _wrong_file,
        _CONFIGS[1],
    ),
    _rule("localhost", "error", "qemu.conf", "The source must be able to connect to it.", _QEMU_CONF, _localhost),
    _rule("ports", "error", "qemu.conf", "Each incoming migration needs a port.", _QEMU_CONF, _ports),
    _rule("keepalive-off", "warning", "qemu.conf", "Keepalive finds broken connections.", _QEMU_CONF, _keepalive),
    _rule("twice", "warning", "qemu.conf", "The last of several lines is in force.", _QEMU_CONF, checks.repeated),
    *(
        _rule(f"unknown-in-{kind}", "warning", kind, "libvirt ignores what it does not know.", source, check)
        for kind, source, check in (
            ("qemu.conf", _QEMU_CONF, checks.foreign(keywords.QEMU)),
            ("libvirt.conf", _CLIENT_CONF, checks.foreign((*keywords.LIBVIRT, *_QEMU_ONLY))),
            ("libvirtd.conf", _DAEMON_CONF, checks.foreign((*keywords.LIBVIRTD, *_QEMU_ONLY))),
        )
    ),
    _rule("unread", "error", "qemu.conf", "libvirt refuses the file.", _QEMU_CONF, checks.unread, *_CONFIGS),
)
_NEEDED: Final = (
    ("timeout-postcopy", "postcopy", "The switch needs a migration that was started for it."),
    ("postcopy-after-precopy", "postcopy", "It is used along with --postcopy."),
    ("parallel-connections", "parallel", "The number counts only for a parallel migration."),
    ("timeout", "live", "A timeout can be used with --live only."),
    ("comp-methods", "compressed", "Methods count only where compression is on."),
    ("postcopy-bandwidth", "postcopy", "There is no post-copy phase without it."),
)
RULES: Final = (
    *checks.of_options(OPTIONS),
    *(_rule(f"{flag}-alone", "error", "virsh", why, _MIGRATE, _needs(flag, other)) for flag, other, why in _NEEDED),
    _rule("unknown-flag", "error", "virsh", "virsh refuses the command.", _VIRSH, _unknown_flag),
    _rule(
        "post-copy-never",
        "warning",
        "virsh",
        "The flag enables the logic of post-copy and does not start it.",
        _MIGRATE,
        _postcopy_never,
    ),
    _rule("compression-method", "error", "virsh", "QEMU has methods for each way.", _MIGRATE, _methods),
    _rule("tunnelled-parallel", "warning", "virsh", "A tunnel is one connection.", _MIGRATION, _tunnelled_parallel),
    _rule("cache-size", "warning", "virsh", "QEMU rounds it down.", f"{_VIRSH}#migrate-compcache", _power_of_two),
    *_FILES,
)

LIBVIRT: Final = Product(
    name="libvirt",
    title="libvirt 10 and later, virsh",
    options=OPTIONS,
    rules=RULES,
    settle=_settle,
    said=_said,
    write=_write,
    manners=(
        Manner("pre-copy", {}),
        Manner("auto-converge", {"auto-converge": True}),
        Manner("post-copy after the first pass", dict.fromkeys(_POSTCOPY, True)),
    ),
    cap="bandwidth",
    downtime_limit="downtime",
    streams="parallel-connections",
    several={"parallel": True},
    cures=("bandwidth", "parallel-connections", "downtime"),
    cannot=("the number of migrations at once is the matter of whoever starts them",),
)
