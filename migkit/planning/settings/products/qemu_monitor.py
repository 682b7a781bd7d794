"""QEMU's monitor: the commands of QMP that set capabilities and parameters of a migration."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

from migkit.planning.settings import checks
from migkit.planning.settings.document import Document, Entry
from migkit.planning.settings.finding import Check, Rule, Trouble
from migkit.planning.settings.option import (
    B_PER_S,
    BYTES,
    MB_PER_S,
    MBIT_PER_S,
    MIB_PER_S,
    MS,
    PERCENT,
    Option,
    S,
    Value,
)
from migkit.planning.settings.product import Manner, Product, Snippet, Values, text_of
from migkit.scenario import Policy, Scenario

__all__ = ["QEMU"]

_QMP: Final = "https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html"
_CHECKS: Final = "https://gitlab.com/qemu-project/qemu/-/blob/master/migration/options.c"
_REMOVED: Final = "https://www.qemu.org/docs/master/about/removed-features.html"
_PARAMETERS: Final = "migrate-set-parameters"
_CAPABILITIES: Final = "migrate-set-capabilities"
_LIKELY_B: Final = (8.0 * 2**20, 50.0 * 2**30)


def _parameter(name: str, **what: object) -> Option:
    source = f"{_QMP}#qapidoc-{_PARAMETERS}"
    return Option(kind="QMP", path=(_PARAMETERS, name), **({"source": source} | what))  # type: ignore[arg-type]


def _capability(name: str) -> Option:
    return Option(
        kind="QMP", path=(_CAPABILITIES, name), source=f"{_QMP}#{_CAPABILITIES}", form="switch", default=False
    )


OPTIONS: Final = (
    _parameter(
        "max-bandwidth",
        unit=B_PER_S,
        low=0,
        high=2.0**64,
        default=128.0 * 2**20,
        zero_is_unlimited=True,
        step=1.0,
        likely=_LIKELY_B,
        mistaken=(MIB_PER_S, MBIT_PER_S),
    ),
    _parameter("downtime-limit", unit=MS, low=0, high=2_000_000, default=0.3, likely=(10, 60_000), mistaken=(S,)),
    _parameter("avail-switchover-bandwidth", unit=B_PER_S, low=0, default=0.0, likely=(0, _LIKELY_B[1])),
    _parameter("max-postcopy-bandwidth", unit=B_PER_S, low=0, default=math.inf, zero_is_unlimited=True),
    _parameter("multifd-channels", low=1, high=255, default=2.0),
    _parameter(
        "multifd-compression", form="word", choices=("none", "zlib", "zstd", "qpl", "uadk", "qatzip"), default="none"
    ),
    _parameter("multifd-zlib-level", low=0, high=9, default=1.0),
    _parameter("multifd-zstd-level", low=0, high=20, default=1.0),
    _parameter("throttle-trigger-threshold", unit=PERCENT, low=1, high=100, default=0.5),
    _parameter("cpu-throttle-initial", unit=PERCENT, low=1, high=99, default=0.2),
    _parameter("cpu-throttle-increment", unit=PERCENT, low=1, high=99, default=0.1),
    _parameter("max-cpu-throttle", unit=PERCENT, low=1, high=99, default=0.99),
    _parameter("cpu-throttle-tailslow", form="switch", default=False),
    _parameter("xbzrle-cache-size", unit=BYTES, low=4096, default=64.0 * 2**20),
    _parameter("vcpu-dirty-limit", unit=MB_PER_S, low=1, default=2.0**20),
    _parameter("x-vcpu-dirty-limit-period", unit=MS, low=1, high=1000, default=1.0),
    _parameter("announce-initial", unit=MS, low=0, high=100_000, default=0.05),
    _parameter("announce-max", unit=MS, low=0, high=100_000, default=0.55),
    _parameter("announce-rounds", low=0, high=1000, default=5.0),
    _parameter("announce-step", unit=MS, low=1, high=10_000, default=0.1),
    _parameter("tls-creds", form="text"),
    _parameter("compress-level", form="text", source=_REMOVED, deprecated="gone since 9.1; use multifd-compression"),
    _parameter("compress-threads", form="text", source=_REMOVED, deprecated="gone since 9.1; use multifd-channels"),
    *(
        _capability(name)
        for name in ("auto-converge", "multifd", "xbzrle", "postcopy-ram", "postcopy-preempt", "dirty-limit")
    ),
    *(_capability(name) for name in ("zero-copy-send", "return-path", "pause-before-switchover", "events")),
    dataclasses.replace(
        _capability("compress"), source=_REMOVED, deprecated="gone since 9.1; use multifd with multifd-compression"
    ),
    dataclasses.replace(
        _capability("block"), source=_REMOVED, deprecated="gone since 9.1; use blockdev-mirror with NBD"
    ),
)


def _said(documents: Sequence[Document]) -> dict[str, Value]:
    started = any(any(document.all("migrate-start-postcopy")) for document in checks.each(documents, "QMP"))
    return {"migrate-start-postcopy": started}


def _settle(values: Values, case: Scenario) -> Scenario:
    """Return the scenario under QEMU's own rule, with what the monitor was told."""
    policy = Policy.named(
        "qemu-10.1",
        max_bandwidth_bytes_per_s=values["max-bandwidth"],
        max_postcopy_bandwidth_bytes_per_s=values["max-postcopy-bandwidth"],
        downtime_limit_s=values["downtime-limit"],
        throttle_trigger=values["throttle-trigger-threshold"],
        throttle_initial=values["cpu-throttle-initial"],
        throttle_increment=values["cpu-throttle-increment"],
        throttle_max=values["max-cpu-throttle"],
        throttle_tailslow=float(bool(values["cpu-throttle-tailslow"])),
        switchover_bandwidth_bytes_per_s=values["avail-switchover-bandwidth"],
    )
    several = bool(values["multifd"])
    method = str(values["multifd-compression"])
    xbzrle = bool(values["xbzrle"]) and not several
    strategy = dataclasses.replace(
        case.strategy,
        name="hybrid" if values["postcopy-ram"] and values.get("migrate-start-postcopy") else "precopy",
        auto_converge=bool(values["auto-converge"]),
        dirty_limit_bytes_per_s=float(values["vcpu-dirty-limit"]) if values["dirty-limit"] else math.inf,
        streams=int(values["multifd-channels"]) if several else 1,
        compression=method if several and method in ("zlib", "zstd") else "none",
        xbzrle=xbzrle,
        xbzrle_cache_bytes=int(values["xbzrle-cache-size"]),
        preempt=bool(values["postcopy-preempt"]) if values["postcopy-ram"] else case.strategy.preempt,
        tls=case.strategy.tls or bool(values.get("tls-creds")),
    )
    return dataclasses.replace(case, policy=policy, strategy=strategy)


def _write(given: Values, values: Values) -> tuple[Snippet, ...]:
    """Return the commands, capabilities first, as QEMU wants them before the migration begins."""
    capabilities = [
        {"capability": option.name, "state": bool(given[option.name])}
        for option in OPTIONS
        if option.path[0] == _CAPABILITIES and option.name in given
    ]
    parameters: dict[str, Any] = {
        option.name: _plain(option, text_of(QEMU, given, option.name))
        for option in OPTIONS
        if option.path[0] == _PARAMETERS and option.name in given
    }
    commands: list[dict[str, Any]] = []
    if capabilities:
        commands.append({"execute": _CAPABILITIES, "arguments": {"capabilities": capabilities}})
    if parameters:
        commands.append({"execute": _PARAMETERS, "arguments": parameters})
    if given.get("migrate-start-postcopy"):
        commands.append({"execute": "migrate-start-postcopy"})
    text = "\n".join(json.dumps(command) for command in commands) + "\n"
    return (Snippet("QMP", "the monitor of the source; capabilities at the destination, too", text),)


def _plain(option: Option, text: str) -> Any:
    if option.form in ("word", "text"):
        return text
    return text == "true" if option.form == "switch" else int(text)


def _parameters(document: Document) -> dict[str, Entry]:
    return {entry.path[-1]: entry for entry in document.all(_PARAMETERS)}


def _needs_capability(names: tuple[str, ...], capability: str) -> Check:
    """Return a check for parameters that count only with a capability."""

    def found(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
        given = _parameters(document)
        for name in names:
            if name in given and not document.on(_CAPABILITIES, capability):
                what = f"{name} does nothing while the capability {capability} is off"
                yield Trouble(given[name].line, what, f"set the capability {capability}, or leave out {name}")

    return found


def _exclude(one: str, other: str) -> Check:
    """Return a check for two capabilities of which QEMU takes one."""

    def found(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
        entry = document.get(_CAPABILITIES, one)
        if entry is not None and document.on(_CAPABILITIES, one) and document.on(_CAPABILITIES, other):
            yield Trouble(entry.line, f"{one} and {other} are on at once", "keep one of the two")

    return found


def _zero_copy(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    entry = document.get(_CAPABILITIES, "zero-copy-send")
    if entry is None or not document.on(_CAPABILITIES, "zero-copy-send"):
        return
    compressed = document.text(_PARAMETERS, "multifd-compression") not in ("", "none")
    if compressed or document.text(_PARAMETERS, "tls-creds") or not document.on(_CAPABILITIES, "multifd"):
        what = "zero-copy-send needs multifd without compression and without TLS"
        yield Trouble(entry.line, what, "set multifd and leave out compression and TLS, or turn it off")


def _throttle_order(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    given = _parameters(document)
    try:
        initial = float(given["cpu-throttle-initial"].text) if "cpu-throttle-initial" in given else 20.0
        most = float(given["max-cpu-throttle"].text) if "max-cpu-throttle" in given else 99.0
    except ValueError:
        return
    if most < initial:
        entry = given.get("max-cpu-throttle") or given["cpu-throttle-initial"]
        what = f"max-cpu-throttle {most:g} is below cpu-throttle-initial {initial:g}"
        yield Trouble(entry.line, what, f"set max-cpu-throttle to {initial:g} or more")


def _power_of_two(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    entry = _parameters(document).get("xbzrle-cache-size")
    if entry is not None and entry.text.isdigit() and int(entry.text) & (int(entry.text) - 1):
        what = f"xbzrle-cache-size = {entry.text} is no power of two"
        yield Trouble(entry.line, what, f"write {1 << (int(entry.text).bit_length() - 1)}")


def _old_commands(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    for entry in document.entries:
        if entry.path[0] in _GONE:
            instead = _GONE[entry.path[0]]
            yield Trouble(entry.line, f"{entry.path[0]} is gone since QEMU 6.0", f"use {_PARAMETERS} {instead}")


_GONE: Final = {
    "migrate_set_speed": "max-bandwidth, in B/s",
    "migrate_set_downtime": "downtime-limit, in ms and no longer in s",
    "migrate-set-cache-size": "xbzrle-cache-size",
}


def _below(document: Document, entry: Entry) -> bool:
    return entry.path[0] in (_PARAMETERS, _CAPABILITIES) and entry.path[-1] not in _OTHERS


_OTHERS: Final = (
    *("rdma-pin-all", "x-colo", "release-ram", "dirty-bitmaps", "postcopy-blocktime", "late-block-activate"),
    *("x-ignore-shared", "validate-uuid", "background-snapshot", "switchover-ack", "mapped-ram", "zero-blocks"),
    *("tls-hostname", "tls-authz", "x-checkpoint-delay", "block-bitmap-mapping", "mode", "zero-page-detection"),
    *("direct-io", "multifd-qatzip-level", "cpr-exec-command", "x-rdma-chunk-size"),
)


def _rule(name: str, level: str, why: str, source: str, check: Check) -> Rule:
    return Rule(name=f"qemu-{name}", level=level, kinds=("QMP",), why=why, source=source, check=check)


_MULTIFD: Final = ("multifd-channels", "multifd-compression", "multifd-zlib-level", "multifd-zstd-level")
_THROTTLE: Final = (
    *("throttle-trigger-threshold", "cpu-throttle-initial", "cpu-throttle-increment", "max-cpu-throttle"),
    "cpu-throttle-tailslow",
)
RULES: Final = (
    *checks.of_options(OPTIONS),
    _rule("multifd-off", "warning", "It counts for multifd.", _QMP, _needs_capability(_MULTIFD, "multifd")),
    _rule(
        "throttle-off", "warning", "It counts for auto-converge.", _QMP, _needs_capability(_THROTTLE, "auto-converge")
    ),
    _rule(
        "xbzrle-off", "warning", "It counts for XBZRLE.", _QMP, _needs_capability(("xbzrle-cache-size",), "xbzrle")
    ),
    _rule(
        "dirty-limit-off",
        "warning",
        "It counts for dirty-limit.",
        _QMP,
        _needs_capability(("vcpu-dirty-limit", "x-vcpu-dirty-limit-period"), "dirty-limit"),
    ),
    _rule(
        "post-copy-off",
        "warning",
        "It counts for post-copy.",
        _QMP,
        _needs_capability(("max-postcopy-bandwidth",), "postcopy-ram"),
    ),
    _rule("two-throttles", "error", "QEMU refuses both.", _CHECKS, _exclude("dirty-limit", "auto-converge")),
    _rule("xbzrle-multifd", "error", "QEMU refuses both.", _CHECKS, _exclude("multifd", "xbzrle")),
    _rule("zero-copy", "error", "QEMU refuses it.", _CHECKS, _zero_copy),
    _rule("throttle-order", "error", "QEMU refuses it.", _CHECKS, _throttle_order),
    _rule("cache-size", "error", "QEMU refuses it.", _CHECKS, _power_of_two),
    _rule("old-command", "error", "The command does not exist any more.", _REMOVED, _old_commands),
    _rule("unknown", "error", "QEMU refuses it.", _QMP, checks.unknown(OPTIONS, _below)),
)

QEMU: Final = Product(
    name="qemu",
    title="QEMU 10.1 to 11, through QMP",
    options=OPTIONS,
    rules=RULES,
    settle=_settle,
    said=_said,
    write=_write,
    manners=(
        Manner("pre-copy", {}),
        Manner("auto-converge", {"auto-converge": True}),
        Manner("post-copy", {"postcopy-ram": True, "postcopy-preempt": True, "migrate-start-postcopy": True}),
    ),
    cap="max-bandwidth",
    downtime_limit="downtime-limit",
    streams="multifd-channels",
    several={"multifd": True},
    cures=("max-bandwidth", "downtime-limit"),
    cannot=("the number of migrations at once is the matter of whoever starts them",),
)
