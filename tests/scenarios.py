"""Legal scenarios from a seed, ordinary and extreme: what campaigns and tests of the models share.

``scenario("ordinary", seed, number)`` is the same scenario on every machine, so that a campaign's finding is two
numbers. Ordinary ones are what people migrate; extreme ones are what the records let pass: petabytes over a byte a
second, phases of a microsecond, schedules of outages, 48 page classes.
"""

from __future__ import annotations

import dataclasses
import math
import random
from typing import Any

from migkit import DirtyClass, Guest, Host, Link, Policy, Scenario, Strategy
from migkit.policies.built_in import BUILT_IN
from migkit.scenario.guest import MAX_CLASSES, TRACKING_BYTES

__all__ = ["extreme", "ordinary", "plain", "scenario"]

MIB = 2**20
GIB = 2**30
PAGE = 4096
LATER = ("qemu-10.1", "qemu-11.1", "nova-2026.1", "openshift-2026", "deckhouse", "incus", "cloud-hypervisor-51")
LATER_SETTINGS = ("sync_at_threshold", "secure")
ALL_NAMES = tuple(preset.name for preset in BUILT_IN)
NAMES = tuple(name for name in ALL_NAMES if name not in LATER)  # of seed 0, whose findings are known by number
PLAIN = ("qemu", "qemu-7", "qemu-8.2", "qemu-10", "qemu-11.1", "libvirt")  # which do nothing without being asked
STRATEGIES = ("precopy", "precopy", "precopy", "precopy", "stopcopy", "postcopy", "hybrid", "hybrid")
ORDINARY_MOST = 64 * GIB
EXTREME_MOST = 8 * 2**50


def scenario(kind: str, seed: int, number: int, **bounds: Any) -> Scenario:
    """Return one scenario of a seeded series.

    Parameters
    ----------
    kind
        ``ordinary`` or ``extreme``.
    seed, number
        Of the series, and which of it.
    bounds
        ``most_bytes``: largest memory of the guest [B].
    """
    draw = random.Random(f"{kind} {seed} {number}")
    return {"ordinary": ordinary, "extreme": extreme}[kind](draw, names=ALL_NAMES if seed else NAMES, **bounds)


def plain(kind: str, seed: int, number: int) -> Scenario:
    """Return one scenario of a series without what the engine is told in steps: pre-copy by QEMU's rule."""
    draw = random.Random(f"plain {kind} {seed} {number}")
    one = scenario(kind, seed, number)
    lasting = tuple(dataclasses.replace(c, phases=(), phase_offset_s=0.0) for c in one.guest.dirty)
    return dataclasses.replace(
        one,
        guest=dataclasses.replace(one.guest, fill="random", dirty=lasting),
        link=dataclasses.replace(one.link, steps=()),
        host=dataclasses.replace(one.host, write_fault_s=0.0),
        policy=dataclasses.replace(one.policy, name=draw.choice(PLAIN), settings=()),
        strategy=dataclasses.replace(
            one.strategy, name="precopy", auto_converge=False, dirty_limit_bytes_per_s=math.inf, xbzrle=False
        ),
    )


def ordinary(draw: random.Random, most_bytes: int = ORDINARY_MOST, names: tuple[str, ...] = NAMES) -> Scenario:
    """Return a scenario such as people have, of every strategy, policy and feature."""
    guest = _guest(draw, _pages(draw, 64 * MIB, most_bytes), draw.choice((0, 1, 1, 2, 2, 3, 4)), _class)
    bandwidth = _log(draw, 1e7, 5e9)
    return Scenario(
        guest=guest,
        link=_link(draw, bandwidth),
        host=_host(draw),
        policy=_policy(draw, bandwidth, names),
        strategy=_strategy(draw),
    )


def extreme(draw: random.Random, most_bytes: int = EXTREME_MOST, names: tuple[str, ...] = NAMES) -> Scenario:
    """Return a scenario of which each number is as far out as its record lets pass, or ordinary."""
    number = draw.choice((0, 1, 1, 2, 3, 5, 12, MAX_CLASSES))
    guest = _guest(draw, _pages(draw, PAGE * (number + 1), most_bytes), number, _far_class)
    bandwidth = _far(draw, 1.0, 1e15, math.inf)
    policy = Policy(
        name=draw.choice(names),
        max_bandwidth_bytes_per_s=_far(draw, 1.0, 1e15, math.inf),
        max_postcopy_bandwidth_bytes_per_s=_far(draw, 1.0, 1e15, math.inf),
        downtime_limit_s=draw.choice((0.0, 1e-9, 0.3, 2000.0, _log(draw, 1e-6, 2000.0))),
        time_limit_s=draw.choice((math.inf, math.inf, 1e-9, 1e12, _log(draw, 1e-3, 1e9))),
    )
    return Scenario(
        guest=guest,
        link=dataclasses.replace(
            _link(draw, bandwidth),
            rtt_s=_far(draw, 1e-9, 1e3, 0.0),
            window_bytes=_far(draw, 1.0, 1e12, math.inf),
            queue_bytes=_far(draw, 1.0, 1e12, 0.0),
            loss=draw.choice((0.0, 1e-12, 0.99)),
            steps=_far_steps(draw, 1.0),
        ),
        host=_far_host(draw),
        policy=_with_settings(draw, policy),
        strategy=_far_strategy(draw),
    )


# -- numbers ---------------------------------------------------------------------------------


def _log(draw: random.Random, low: float, high: float) -> float:
    return math.exp(draw.uniform(math.log(low), math.log(high)))


def _far(draw: random.Random, low: float, high: float, off: float) -> float:
    """Return an end of a range, something in it, or what means that there is no such thing."""
    return draw.choice((low, high, off, off, _log(draw, low, high), _log(draw, low, high)))


def _pages(draw: random.Random, least_bytes: int, most_bytes: int) -> int:
    """Return a size in whole pages [B]."""
    return max(least_bytes, int(_log(draw, least_bytes, max(least_bytes + 1, most_bytes)))) // PAGE * PAGE


def _sometimes(draw: random.Random, odds: float, value: Any, otherwise: Any) -> Any:
    return value if draw.random() < odds else otherwise


# -- guests ----------------------------------------------------------------------------------


def _guest(draw: random.Random, memory: int, number: int, one_class: Any) -> Guest:
    """Return a guest with so many page classes at most, as many as its pages allow."""
    number = min(number, memory // PAGE)
    most = memory // PAGE // (2 * number) if number and draw.random() < 0.9 else memory // PAGE // max(1, number)
    classes = tuple(one_class(draw, max(1, most)) for _ in range(number))
    left = memory - sum(one.region_bytes for one in classes)
    demand = sum(one.writes_per_s for one in classes)
    return Guest(
        memory_bytes=memory,
        zero_bytes=int(draw.choice((0.0, 1.0, draw.random())) * (left // PAGE)) * PAGE,
        dirty=classes,
        layout=("interleaved", "interleaved", "blocks")[memory // PAGE % 3],
        fill=draw.choice(("random", "random", "constant", "zero")),
        compression_ratio=draw.choice((1.0, draw.uniform(1.0, 8.0))),
        tracking_bytes=draw.choice((TRACKING_BYTES[0],) * 6 + TRACKING_BYTES[1:]),
        capacity_writes_per_s=_sometimes(draw, 0.3, demand * draw.uniform(1.0, 20.0) or None, None),
    )


def _class(draw: random.Random, most_pages: int) -> DirtyClass:
    region = max(1, int(most_pages * draw.random() ** 2)) * PAGE
    phases: tuple[tuple[float, float], ...] = ()
    if draw.random() < 0.2:
        phases = tuple((_log(draw, 0.05, 30.0), draw.uniform(0.0, 2.0)) for _ in range(draw.randint(1, 4)))
        phases = phases if any(intensity for _, intensity in phases) else ()
    return DirtyClass(
        region_bytes=region,
        writes_per_s=_log(draw, 1.0, 5e5),
        kind=draw.choice(("random", "random", "sweep")),
        sweep_offset_bytes=_sometimes(draw, 0.5, draw.randrange(2 * region), None),
        reads_per_s=_sometimes(draw, 0.3, _log(draw, 1.0, 1e5), 0.0),
        rewrite_bytes=draw.choice((8, 8, 1, 100, 1024, PAGE)),
        phases=phases,
        phase_offset_s=draw.uniform(0.0, 5.0) if phases else 0.0,
    )


def _far_class(draw: random.Random, most_pages: int) -> DirtyClass:
    region = draw.choice((1, most_pages, draw.randint(1, most_pages)))
    return dataclasses.replace(
        _class(draw, most_pages),
        region_bytes=region * PAGE,
        writes_per_s=_far(draw, 1e-9, 1e12, 0.0),
        reads_per_s=_far(draw, 1e-9, 1e12, 0.0),
        phases=_far_steps(draw, draw.choice((1.0, 1e3))),
        phase_offset_s=_far(draw, 1e-9, 1e9, 0.0),
    )


def _far_steps(draw: random.Random, most: float) -> tuple[tuple[float, float], ...]:
    """Return steps: none, one, two that alternate fast or slowly, a schedule of outages, anything."""
    duration_s = draw.choice((1e-6, 1e-3, 1.0, 1e5))
    number = draw.choice((0, 0, 0, 1, 2, 2, 5, 400))
    match draw.randrange(4):
        case 0:
            return ((duration_s, most),) * number
        case 1:
            return tuple((duration_s, most * (at % 2)) for at in range(number))
        case 2:
            return tuple((duration_s * draw.random() + 1e-9, most * draw.choice((0, 1))) for _ in range(number))
        case _:
            return tuple((_log(draw, 1e-6, 1e6), most * draw.random()) for _ in range(number))


# -- path, hosts, rules ----------------------------------------------------------------------


def _link(draw: random.Random, bandwidth: float) -> Link:
    steps: tuple[tuple[float, float], ...] = ()
    if draw.random() < 0.15:
        steps = tuple(
            (_log(draw, 0.1, 30.0), draw.choice((0.0, 1.0, draw.random()))) for _ in range(draw.randint(1, 4))
        )
    return Link(
        bandwidth_bytes_per_s=bandwidth,
        rtt_s=_sometimes(draw, 0.4, _log(draw, 1e-5, 0.2), 0.0),
        window_bytes=_sometimes(draw, 0.2, _log(draw, 2**18, 2**26), math.inf),
        loss=_sometimes(draw, 0.1, _log(draw, 1e-7, 1e-3), 0.0),
        background_bytes_per_s=_sometimes(draw, 0.1, min(bandwidth, 1e15) * draw.uniform(0.0, 0.9), 0.0),
        migrations=draw.choice((1,) * 8 + (2, 5)),
        steps=steps,
    )


def _host(draw: random.Random) -> Host:
    host = Host(
        sync_base_s=_sometimes(draw, 0.2, _log(draw, 1e-4, 0.05), 0.0),
        sync_per_page_s=_sometimes(draw, 0.2, _log(draw, 1e-10, 1e-8), 0.0),
        page_cpu_s=_sometimes(draw, 0.2, _log(draw, 1e-7, 1e-5), 0.0),
        write_fault_s=_sometimes(draw, 0.15, _log(draw, 1e-7, 1e-5), 0.0),
        fault_service_s=_sometimes(draw, 0.3, _log(draw, 1e-5, 1e-3), 0.0),
        poll_s=draw.choice((0.05, 0.05, 0.05, 0.1, 0.02)),
        load_s=_sometimes(draw, 0.3, draw.uniform(0.0, 0.1), 0.0),
        postcopy_bytes_per_s=_sometimes(draw, 0.2, _log(draw, 1e7, 1e9), math.inf),
        failures_per_h=_sometimes(draw, 0.2, 1e-4, 0.0),
    )
    return host.sends_as_harness() if draw.random() < 0.2 else host


def _far_host(draw: random.Random) -> Host:
    host = _host(draw)
    for name, low, high, off in (
        ("goodput_bytes_per_s", 1.0, 1e15, 1.5e9),
        ("page_cpu_s", 1e-12, 1e3, 0.0),
        ("zero_page_cpu_s", 1e-12, 1e3, 0.0),
        ("sync_base_s", 1e-9, 1e6, 0.0),
        ("sync_per_page_s", 1e-12, 1.0, 0.0),
        ("setup_s", 1e-9, 1e6, 0.0),
        ("quiesce_s", 1e-9, 1e6, 0.0),
        ("write_fault_s", 1e-12, 10.0, 0.0),
        ("fault_service_s", 1e-9, 1e4, 0.0),
        ("discard_run_s", 1e-12, 1.0, 0.0),
        ("poll_s", 1e-3, 1e4, 0.05),
        ("window_extra_s", 1e-9, 1e3, 0.0),
        ("zero_page_bytes", 1e-3, 4096.0, 9.0),
        ("page_header_bytes", 1e-3, 1e6, 8.0),
        ("xbzrle_bytes_per_s", 1.0, 1e12, 1.6e9),
        ("disk_bytes_per_s", 1.0, 1e12, 1e9),
    ):
        if draw.random() < 0.2:
            host = dataclasses.replace(host, **{name: _far(draw, low, high, off)})
    return host


def _policy(draw: random.Random, bandwidth: float, names: tuple[str, ...]) -> Policy:
    policy = Policy(name=draw.choice(names + ("qemu", "qemu-7", "qemu-8.2", "qemu-10") * 4))
    if draw.random() < 0.8:
        cap = draw.choice((math.inf, bandwidth * draw.uniform(0.1, 1.2), _log(draw, 1e7, 2e9)))
        policy = dataclasses.replace(policy, max_bandwidth_bytes_per_s=cap)
    if draw.random() < 0.6:
        policy = dataclasses.replace(policy, downtime_limit_s=_log(draw, 0.01, 3.0))
    return dataclasses.replace(
        policy,
        time_limit_s=_sometimes(draw, 0.3, _log(draw, 1.0, 3600.0), math.inf),
        max_postcopy_bandwidth_bytes_per_s=_sometimes(draw, 0.2, _log(draw, 1e7, 1e9), math.inf),
    )


def _with_settings(draw: random.Random, policy: Policy) -> Policy:
    """Return a policy some settings of which are far out."""
    settings = []
    for one in policy.preset.settings:
        if one.name not in LATER_SETTINGS and draw.random() < 0.1:
            low = 1e-6 if one.positive else 0.0
            settings.append((one.name, draw.choice((low, one.default or 1.0, 1e3 * (one.default or 1.0)))))
    return dataclasses.replace(policy, settings=tuple(settings))


def _strategy(draw: random.Random) -> Strategy:
    name = draw.choice(STRATEGIES)
    compression = draw.choice(("none",) * 7 + ("zlib", "zstd", "lz4"))
    storage = _sometimes(draw, 0.1, int(_log(draw, 1e8, 1e11)), 0)
    return Strategy(
        name=name,
        postcopy_after_s=_sometimes(draw, 0.4, _log(draw, 0.05, 60.0), None),
        postcopy_after_rounds=_sometimes(draw, 0.3, draw.randint(1, 6), None),
        prefetch_pages=draw.choice((0, 0, 0, 8)),
        preempt=draw.random() < 0.7,
        auto_converge=draw.random() < 0.25,
        dirty_limit_bytes_per_s=_sometimes(draw, 0.15, _log(draw, 1e6, 1e9), math.inf),
        compression=compression,
        xbzrle=compression == "none" and draw.random() < 0.25,
        xbzrle_cache_bytes=draw.choice((64 * MIB, MIB, GIB)),
        streams=draw.choice((1, 1, 1, 2, 8)),
        tls=draw.random() < 0.2,
        storage_bytes=storage,
        storage_dirty_bytes_per_s=_log(draw, 1e4, 1e7) if storage and draw.random() < 0.5 else 0.0,
        checkpoint_bytes=_sometimes(draw, 0.1, int(_log(draw, 1e8, 1e11)), 0),
    )


def _far_strategy(draw: random.Random) -> Strategy:
    return dataclasses.replace(
        _strategy(draw),
        postcopy_after_s=draw.choice((None, None, 0.0, 1e-9, 1e12)),
        postcopy_after_rounds=draw.choice((None, None, 1, 10**9)),
        prefetch_pages=draw.choice((0, 1, 10**6)),
        dirty_limit_bytes_per_s=_far(draw, 1.0, 1e15, math.inf),
        xbzrle_cache_bytes=draw.choice((PAGE, 64 * MIB, 2**50)),
        streams=draw.choice((1, 256)),
    )
