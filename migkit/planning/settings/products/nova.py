"""OpenStack Nova: ``nova.conf`` of the compute nodes (nova/conf/libvirt.py, nova/conf/compute.py)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Final

from migkit.planning.settings import checks
from migkit.planning.settings.document import Document
from migkit.planning.settings.finding import Rule, Trouble
from migkit.planning.settings.option import B_PER_S, KIB_PER_S, MBIT_PER_S, MIB_PER_S, MS, S_PER_GIB, Option, S, Value
from migkit.planning.settings.product import Manner, Product, Snippet, Values, text_of
from migkit.planning.settings.products import watcher
from migkit.scenario import Policy, Scenario

__all__ = ["NOVA"]

_CONFIG: Final = "https://docs.openstack.org/nova/latest/configuration/config.html"
_KIND: Final = "nova.conf"
_NOTES: Final = "https://docs.openstack.org/releasenotes/nova"


def _libvirt(name: str, **what: object) -> Option:
    source = f"{_CONFIG}#libvirt.{name}"
    return Option(kind=_KIND, path=("libvirt", name), **({"source": source} | what))  # type: ignore[arg-type]


OPTIONS: Final = (
    _libvirt(
        "live_migration_bandwidth",
        unit=MIB_PER_S,
        low=0,
        default=float("inf"),
        zero_is_unlimited=True,
        likely=(8, 50_000),
        mistaken=(MBIT_PER_S, KIB_PER_S, B_PER_S),
    ),
    _libvirt("live_migration_downtime", unit=MS, low=100, default=0.5, likely=(100, 10_000), mistaken=(S,)),
    _libvirt("live_migration_downtime_steps", low=3, default=10.0),
    _libvirt("live_migration_downtime_delay", unit=S_PER_GIB, low=3, default=75.0),
    _libvirt(
        "live_migration_completion_timeout", unit=S_PER_GIB, low=0, default=800.0, likely=(0, 3600), mistaken=(MS,)
    ),
    _libvirt("live_migration_timeout_action", form="word", choices=("abort", "force_complete"), default="abort"),
    _libvirt("live_migration_permit_post_copy", form="switch", default=False),
    _libvirt("live_migration_permit_auto_converge", form="switch", default=False),
    _libvirt("live_migration_parallel_connections", since="33.0.0 (2026.1)", low=1, high=255, default=1.0),
    _libvirt("live_migration_with_native_tls", form="switch", default=False),
    _libvirt("live_migration_monitor_interval", since="33.0.0 (2026.1)", unit=S, low=1, default=5.0),
    _libvirt("live_migration_inbound_addr", form="text"),
    _libvirt("live_migration_scheme", form="text"),
    _libvirt(
        "live_migration_uri",
        form="text",
        deprecated="deprecated since 15.0.0; use live_migration_scheme and live_migration_inbound_addr",
    ),
    _libvirt(
        "live_migration_tunnelled",
        form="switch",
        default=False,
        deprecated="deprecated since 23.0.0; use live_migration_with_native_tls",
    ),
    _libvirt(
        "live_migration_flag",
        form="text",
        source=f"{_NOTES}/ocata.html",
        deprecated="gone since 15.0.0; set live_migration_permit_auto_converge and live_migration_permit_post_copy",
    ),
    _libvirt(
        "block_migration_flag", form="text", source=f"{_NOTES}/ocata.html", deprecated="gone since 15.0.0; remove it"
    ),
    _libvirt(
        "live_migration_progress_timeout",
        form="text",
        source=f"{_NOTES}/rocky.html",
        deprecated="gone since 18.0.0; use live_migration_completion_timeout and live_migration_timeout_action",
    ),
    Option(
        kind=_KIND,
        path=("DEFAULT", "live_migration_retry_count"),
        source=f"{_CONFIG}#DEFAULT.live_migration_retry_count",
        low=0,
        default=30.0,
    ),
    Option(
        kind=_KIND,
        path=("compute", "live_migration_wait_for_vif_plug"),
        source=f"{_CONFIG}#compute.live_migration_wait_for_vif_plug",
        form="switch",
        default=True,
    ),
    Option(
        kind=_KIND,
        path=("DEFAULT", "max_concurrent_live_migrations"),
        source=f"{_CONFIG}#DEFAULT.max_concurrent_live_migrations",
        low=0,
        default=1.0,
        up=False,
    ),
)


def _settle(values: Values, case: Scenario) -> Scenario:
    """Return the scenario under Nova's rule: post-copy rules auto-converge out (nova/virt/libvirt/driver.py)."""
    postcopy = bool(values["live_migration_permit_post_copy"])
    streams = int(values["live_migration_parallel_connections"])
    policy = Policy.named(
        "nova-2026.1" if streams > 1 else "nova",
        max_bandwidth_bytes_per_s=values["live_migration_bandwidth"],
        downtime_limit_s=values["live_migration_downtime"],
        steps=values["live_migration_downtime_steps"],
        delay_s_per_gib=values["live_migration_downtime_delay"],
        completion_timeout_s_per_gib=values["live_migration_completion_timeout"],
        force_complete=float(values["live_migration_timeout_action"] == "force_complete"),
        allow_postcopy=float(postcopy),
    )
    strategy = dataclasses.replace(
        case.strategy,
        name="precopy",
        auto_converge=bool(values["live_migration_permit_auto_converge"]) and not postcopy,
        streams=streams,
        tls=case.strategy.tls or bool(values["live_migration_with_native_tls"] or values["live_migration_tunnelled"]),
    )
    together = max(case.link.migrations, int(values["max_concurrent_live_migrations"]), 1)
    link = dataclasses.replace(case.link, migrations=together)
    return dataclasses.replace(case, policy=policy, strategy=strategy, link=link)


def _write(given: Values, values: Values) -> tuple[Snippet, ...]:
    lines: dict[str, list[str]] = {option.path[0]: [] for option in OPTIONS[::-1]}
    for option in OPTIONS:
        if option.name in given:
            lines[option.path[0]].append(f"{option.name} = {text_of(NOVA, given, option.name)}")
    text = "\n\n".join("\n".join([f"[{section}]", *some]) for section, some in lines.items() if some)
    nova = Snippet(_KIND, "/etc/nova/nova.conf of each compute node", f"{text}\n")
    return (nova, *watcher.limits(float(values["max_concurrent_live_migrations"])))


def _timeout_before_last_step(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    """Yield a timeout that ends the migration before the downtime limit has been raised for the last time."""
    values, lines = NOVA.in_force([document])[1:]
    timeout, delay = (
        float(values["live_migration_completion_timeout"]),
        float(values["live_migration_downtime_delay"]),
    )
    steps = float(values["live_migration_downtime_steps"])
    line = next((lines[name][1] for name in _RAMP if name in lines), None)
    if line is not None and 0.0 < timeout < delay * steps:
        what = f"the timeout of {timeout:g} s/GiB comes before the last of {steps:g} steps at {delay * steps:g} s/GiB"
        do = f"lower live_migration_downtime_delay to {max(3, int(timeout / steps * 0.9))} or raise the timeout"
        yield Trouble(line, what, do)


_RAMP: Final = (
    "live_migration_completion_timeout",
    "live_migration_downtime_delay",
    "live_migration_downtime_steps",
)


def _postcopy_never(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    values, lines = NOVA.in_force([document])[1:]
    forced = values["live_migration_timeout_action"] == "force_complete"
    ends = float(values["live_migration_completion_timeout"]) > 0.0
    if values["live_migration_permit_post_copy"] and not (forced and ends):
        at = lines["live_migration_permit_post_copy"][1]
        what = "post-copy is permitted, but nothing starts it by itself"
        yield Trouble(at, what, "set live_migration_timeout_action = force_complete and a timeout above 0")


def _action_never(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    values, lines = NOVA.in_force([document])[1:]
    if values["live_migration_timeout_action"] == "force_complete" and (
        float(values["live_migration_completion_timeout"]) == 0.0
    ):
        what = "force_complete never happens: the completion timeout of 0 is none"
        yield Trouble(
            lines["live_migration_timeout_action"][1], what, "set live_migration_completion_timeout above 0"
        )


def _converge_ignored(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    values, lines = NOVA.in_force([document])[1:]
    if values["live_migration_permit_post_copy"] and values["live_migration_permit_auto_converge"]:
        at = lines["live_migration_permit_auto_converge"][1]
        yield Trouble(at, "auto-converge is not used while post-copy is permitted", "choose one of the two")


def _connections_beside_postcopy(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    values, lines = NOVA.in_force([document])[1:]
    several = float(values["live_migration_parallel_connections"]) > 1.0
    if several and values["live_migration_permit_post_copy"]:
        what = "several connections beside post-copy end in SHUTOFF before QEMU 10.1"
        do = "make sure that every node has QEMU 10.1 or later, or set one of the two back"
        yield Trouble(lines["live_migration_parallel_connections"][1], what, do)


def _tunnelled_and_tls(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    values, lines = NOVA.in_force([document])[1:]
    if values["live_migration_tunnelled"] and values["live_migration_with_native_tls"]:
        at = lines["live_migration_tunnelled"][1]
        yield Trouble(at, "tunnelled and native TLS are set at once", "remove live_migration_tunnelled")


def _no_limit_on_concurrency(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    entry = document.get("DEFAULT", "max_concurrent_live_migrations")
    if entry is not None and entry.text.strip() == "0":
        what = "0 once meant no limit; it is deprecated, and means 5 threads or 1,000 by the mode of the service"
        yield Trouble(entry.line, what, "write the number of migrations that the link carries")


def _cores(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    values, lines = NOVA.in_force([document])[1:]
    count = float(values["live_migration_parallel_connections"])
    if count > 1.0 and values["live_migration_with_native_tls"]:
        what = f"{count:g} connections with TLS use up to {count:g} processors"
        yield Trouble(lines["live_migration_parallel_connections"][1], what, "reserve them with reserved_host_cpus")


def _below(document: Document, entry: object) -> bool:
    path = getattr(entry, "path", ("",))
    return str(path[-1]).startswith(("live_migration_", "block_migration_"))


def _rule(name: str, level: str, why: str, anchor: str, check: object) -> Rule:
    return Rule(name=f"nova-{name}", level=level, kinds=(_KIND,), why=why, source=f"{_CONFIG}#{anchor}", check=check)  # type: ignore[arg-type]


RULES: Final = (
    *checks.of_options(OPTIONS),
    _rule(
        "wrong-section", "error", "An option counts only in its own section.", "libvirt", checks.elsewhere(OPTIONS)
    ),
    _rule("unknown", "warning", "Nova ignores what it does not know.", "libvirt", checks.unknown(OPTIONS, _below)),
    _rule("unread", "error", "oslo.config refuses the whole file.", "libvirt", checks.unread),
    _rule("twice", "warning", "The last of several lines is in force.", "libvirt", checks.repeated),
    _rule(
        "timeout-before-last-step",
        "warning",
        "The timeout should be larger than delay times steps, or the downtime limit never reaches its maximum.",
        "libvirt.live_migration_completion_timeout",
        _timeout_before_last_step,
    ),
    _rule(
        "post-copy-never",
        "warning",
        "Nova goes post-copy at the completion timeout and only under force_complete.",
        "libvirt.live_migration_permit_post_copy",
        _postcopy_never,
    ),
    _rule(
        "force-complete-never",
        "warning",
        "The action follows the timeout; without one it never does.",
        "libvirt.live_migration_timeout_action",
        _action_never,
    ),
    _rule(
        "auto-converge-ignored",
        "warning",
        "Nova asks for auto-converge only where post-copy is not permitted or not available.",
        "libvirt.live_migration_permit_auto_converge",
        _converge_ignored,
    ),
    _rule(
        "connections-beside-post-copy",
        "warning",
        "QEMU before 10.1 cannot go post-copy on several connections.",
        "libvirt.live_migration_parallel_connections",
        _connections_beside_postcopy,
    ),
    _rule(
        "tunnelled-and-tls",
        "error",
        "The two should not be used at the same time.",
        "libvirt.live_migration_with_native_tls",
        _tunnelled_and_tls,
    ),
    _rule(
        "concurrency-zero",
        "warning",
        "The value is to be removed.",
        "DEFAULT.max_concurrent_live_migrations",
        _no_limit_on_concurrency,
    ),
    _rule(
        "connections-need-cores",
        "note",
        "Each connection may use a whole processor, with TLS above all.",
        "libvirt.live_migration_parallel_connections",
        _cores,
    ),
    *watcher.RULES,
)

_FORCE: Final[dict[str, Value]] = {
    "live_migration_permit_post_copy": True,
    "live_migration_timeout_action": "force_complete",
}

NOVA: Final = Product(
    name="nova",
    title="OpenStack Nova, 2019 to 2026.1, with Watcher",
    options=(*OPTIONS, *watcher.OPTIONS),
    rules=RULES,
    settle=_settle,
    write=_write,
    manners=(
        Manner("pre-copy", {}),
        Manner("auto-converge", {"live_migration_permit_auto_converge": True}),
        Manner("post-copy at the timeout", _FORCE, at_timeout=True),
    ),
    cap="live_migration_bandwidth",
    downtime_limit="live_migration_downtime",
    streams="live_migration_parallel_connections",
    together="max_concurrent_live_migrations",
    patience="live_migration_completion_timeout",
    cures=(
        "max_concurrent_live_migrations",
        "live_migration_bandwidth",
        "live_migration_completion_timeout",
        "live_migration_parallel_connections",
        "live_migration_downtime",
    ),
    cannot=("compression and XBZRLE cannot be set in Nova",),
)
