"""What must hold between the predictions of two scenarios, whatever these are.

*Unused* features change nothing, to the last bit. Two *halves* of a page class, and everything *doubled*, agree.
More bandwidth, fewer writes, less memory are never slower, and a lower limit is never faster, beyond the steps of the
hypervisor's own rule. :data:`EXPLANATIONS` lists these steps; each is checked on the two runs, none is assumed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from migkit import DirtyClass, Guest, Prediction, Scenario
from migkit.models.predict import predict
from migkit.scenario.guest import MAX_CLASSES

__all__ = ["EXPLANATIONS", "RULES", "Violation", "violations"]

PAGE = 4096
WINDOW_S = 0.1
QEMU = ("qemu", "qemu-7", "qemu-8.2", "qemu-10", "libvirt")
MANAGERS = ("nova", "kubevirt", "kubevirt-ramp", "kubevirt-stall", "ovirt", "proxmox")

EXPLANATIONS = {
    "window": "QEMU looks at its rule at the end of a window or poll, and whole pages or buffers fill a window: "
    "a decision may come a window earlier or later.",
    "windows": "Each window and each poll of a long pass sends whole pages: all of them are off by a part of a page.",
    "round": "When what is left misses the limit by little, one more round is made, or one less.",
    "passes": "The rule counts passes, or looks at how one compares with the pass before: another number of them.",
    "throttle": "The guest is slowed by steps, at syncs and by timers: the runs are throttled differently.",
    "schedule": "A manager changes the limit, or gives up, by the time and the rounds that have passed.",
    "moment": "Phases, a sweep's place or steps of the link are met at another moment.",
    "switch": "A hybrid goes post-copy at the end of another round, or has another state by its time.",
    "differences": "Pages go as differences only while the cache holds them, which depends on the order of passes.",
}


class Violation(NamedTuple):
    """Two predictions that do not compare as they should."""

    rule: str
    explanation: str  # a key of EXPLANATIONS; "": there is none
    text: str


Change = Callable[[Scenario], Scenario | None]


def violations(case: Scenario, level: float | None = None) -> Iterator[Violation]:
    """Yield what does not compare as it should between a scenario and its changed forms."""
    base = predict(case, level=level)
    for name, (change, judge) in RULES.items():
        other = change(case)
        if other is not None:
            yield from judge(name, case, base, predict(other, level=level))


# -- unused features -------------------------------------------------------------------------


def _guest(case: Scenario, **changes: object) -> Scenario:
    return dataclasses.replace(case, guest=dataclasses.replace(case.guest, **changes))


def _strategy(case: Scenario, **changes: object) -> Scenario:
    return dataclasses.replace(case, strategy=dataclasses.replace(case.strategy, **changes))


def _policy(case: Scenario, **changes: object) -> Scenario:
    return dataclasses.replace(case, policy=dataclasses.replace(case.policy, **changes))


def _link(case: Scenario, **changes: object) -> Scenario:
    return dataclasses.replace(case, link=dataclasses.replace(case.link, **changes))


def _classes(case: Scenario, change: Callable[[DirtyClass], DirtyClass]) -> Scenario:
    return _guest(case, dirty=tuple(change(one) for one in case.guest.dirty))


def _step_of_one(case: Scenario) -> Scenario | None:
    return _link(case, steps=(*case.link.steps, (7.5, 1.0)))


def _step_in_two(case: Scenario) -> Scenario | None:
    steps = tuple((duration_s / 2, share) for duration_s, share in case.link.steps for _ in range(2))
    return _link(case, steps=steps) if steps else None


def _phase_of_one(case: Scenario) -> Scenario | None:
    def change(one: DirtyClass) -> DirtyClass:
        return one if one.phases else dataclasses.replace(one, phases=((1.7, 1.0), (0.3, 1.0)), phase_offset_s=0.9)

    return _classes(case, change) if case.guest.dirty else None


def _phase_in_two(case: Scenario) -> Scenario | None:
    def change(one: DirtyClass) -> DirtyClass:
        phases = tuple((duration_s / 2, intensity) for duration_s, intensity in one.phases for _ in range(2))
        return dataclasses.replace(one, phases=phases)

    return _classes(case, change) if any(one.phases for one in case.guest.dirty) else None


def _cold_bytes(guest: Guest) -> int:
    return guest.memory_bytes - guest.zero_bytes - sum(one.region_bytes for one in guest.dirty)


def _idle_class(case: Scenario) -> Scenario | None:
    pages = _cold_bytes(case.guest) // PAGE // 3
    if pages < 1 or case.guest.fill == "zero" or len(case.guest.dirty) == MAX_CLASSES:
        return None
    return _guest(case, dirty=(*case.guest.dirty, DirtyClass(region_bytes=pages * PAGE, writes_per_s=0.0)))


def _postcopy_flags(case: Scenario) -> Scenario | None:
    if case.strategy.name not in ("precopy", "stopcopy"):
        return None
    changed = _strategy(case, postcopy_after_s=0.7, postcopy_after_rounds=2, prefetch_pages=5, preempt=False)
    return _policy(changed, max_postcopy_bandwidth_bytes_per_s=1e6)


def _compression_unused(case: Scenario) -> Scenario | None:
    return _guest(case, compression_ratio=3.3) if case.strategy.compression == "none" else None


def _differences_unused(case: Scenario) -> Scenario | None:
    """Change what only XBZRLE looks at; switch it on where no page is sent twice."""
    if case.strategy.name in ("stopcopy", "postcopy") and case.strategy.compression == "none":
        return _strategy(case, xbzrle=True)
    if case.xbzrle_cache_bytes is not None:
        return None
    changed = _strategy(case, xbzrle_cache_bytes=123 * PAGE)
    return _classes(changed, lambda one: dataclasses.replace(one, rewrite_bytes=77))


def _zero_places_unused(case: Scenario) -> Scenario | None:
    """Say where zero pages lie that are none or lie last in blocks, and what one costs that nobody left untouched."""
    if case.guest.zero_bytes > 0 and case.guest.layout == "interleaved":
        return None
    changed = _guest(case, zero_at_start=0.3, zero_at_end=0.2)
    return dataclasses.replace(changed, host=dataclasses.replace(case.host, untouched_page_cpu_s=3e-6))


def _same(name: str, case: Scenario, base: Prediction, other: Prediction) -> Iterator[Violation]:
    base, other = (_without_what_ifs(one) for one in (base, other))
    if base != other:
        names = [f.name for f in dataclasses.fields(base) if getattr(base, f.name) != getattr(other, f.name)]
        yield Violation(name, "", f"{', '.join(names)}: {_short(base)} -> {_short(other)}")


def _same_but_advice(name: str, case: Scenario, base: Prediction, other: Prediction) -> Iterator[Violation]:
    """Hold to each other what happens; post-copy may be advised with the one set of flags and not with the other."""
    yield from _same(name, case, *(dataclasses.replace(one, reasons=(), remedies=()) for one in (base, other)))


def _without_what_ifs(one: Prediction) -> Prediction:
    """Return a prediction that does not say what its scenario asks of a system that has it not."""
    return dataclasses.replace(one, reasons=tuple(text for text in one.reasons if not text.startswith("what-if")))


# -- a limit that is not reached -------------------------------------------------------------


def _late_limit(case: Scenario) -> Scenario | None:
    return _policy(case, time_limit_s=1e7) if case.policy.time_limit_s == math.inf else None


def _not_reached(name: str, case: Scenario, base: Prediction, other: Prediction) -> Iterator[Violation]:
    """Hold a time limit to what it may change: what never ends times out."""
    if base.verdict == "does_not_converge" or base.total_time_s > 1e7:
        if other.verdict != "timed_out":
            yield Violation(name, "", f"{_short(base)} -> {_short(other)}")
    else:
        yield from _same(name, case, base, other)


# -- halves and doubles ----------------------------------------------------------------------


def _halves(case: Scenario) -> Scenario | None:
    """Cut each random class in two, side by side, where pages and blocks of tracking allow it."""
    if case.xbzrle_cache_bytes is not None or case.guest.fill == "zero" or len(case.guest.dirty) > MAX_CLASSES // 2:
        return None
    if case.guest.tracking_bytes != PAGE or case.strategy.dirty_limit_bytes_per_s < math.inf:
        return None
    classes: list[DirtyClass] = []
    for one in case.guest.dirty:
        if one.kind == "random" and one.region_pages % 2 == 0:
            half = {"region_bytes": one.region_bytes // 2, "writes_per_s": one.writes_per_s / 2}
            classes += [dataclasses.replace(one, **half, reads_per_s=one.reads_per_s / 2)] * 2
        else:
            classes.append(one)
    return _guest(case, dirty=tuple(classes)) if len(classes) > len(case.guest.dirty) else None


def _reordered(case: Scenario) -> Scenario | None:
    """List the classes of an interleaved guest in another order."""
    changes = len({one.kind for one in case.guest.dirty}) < len(case.guest.dirty)
    if case.guest.layout != "interleaved" or not changes or case.guest.fill == "zero":
        return None
    if case.xbzrle_cache_bytes is not None or any(one.kind == "sweep" for one in case.guest.dirty):
        return None
    return _guest(case, dirty=case.guest.dirty[::-1])


def _doubled(case: Scenario) -> Scenario | None:
    """Double all that is counted in bytes or pages, and halve what each page costs."""
    if case.policy.name not in QEMU or case.strategy.dirty_limit_bytes_per_s < math.inf:
        return None
    if case.guest.tracking_bytes != PAGE or any(one.kind == "sweep" for one in case.guest.dirty):
        return None
    guest, link, host, strategy = case.guest, case.link, case.host, case.strategy
    if link.loss or link.rtt_s:
        return None
    least, flush = case.policy.preset.flush_pages if host.flush_pages is None else (host.flush_pages,) * 2
    if least != flush:
        return None  # a window ends with either buffer, and a host can state one only
    firmware = host.firmware_bytes if host.firmware_bytes is not None else case.policy.preset.firmware_bytes
    halved = (
        "page_cpu_s",
        "zero_page_cpu_s",
        "untouched_page_cpu_s",
        "postcopy_zero_page_cpu_s",
        "sync_per_page_s",
        "write_fault_s",
    )
    halved += ("register_per_page_s", "discard_run_s", "untouched_page_cpu_s")
    speeds = [name for name in type(host).__dataclass_fields__ if name.endswith("_bytes_per_s")]
    capacity = guest.capacity_writes_per_s
    return dataclasses.replace(
        case,
        guest=dataclasses.replace(
            guest,
            memory_bytes=2 * guest.memory_bytes,
            zero_bytes=2 * guest.zero_bytes,
            untouched_bytes=2 * guest.untouched_bytes,
            capacity_writes_per_s=None if capacity is None else 2 * capacity,
            dirty=tuple(
                dataclasses.replace(
                    one,
                    region_bytes=2 * one.region_bytes,
                    writes_per_s=2 * one.writes_per_s,
                    reads_per_s=2 * one.reads_per_s,
                )
                for one in guest.dirty
            ),
        ),
        link=dataclasses.replace(
            link,
            bandwidth_bytes_per_s=2 * link.bandwidth_bytes_per_s,
            background_bytes_per_s=2 * link.background_bytes_per_s,
            window_bytes=2 * link.window_bytes,
            queue_bytes=2 * link.queue_bytes,
        ),
        host=dataclasses.replace(
            host,
            flush_pages=2 * flush,
            firmware_bytes=2 * firmware,
            **{name: 2 * getattr(host, name) for name in speeds},
            **{name: getattr(host, name) / 2 for name in halved},
        ),
        policy=dataclasses.replace(
            case.policy,
            max_bandwidth_bytes_per_s=2 * case.policy.max_bandwidth_bytes_per_s,
            max_postcopy_bandwidth_bytes_per_s=2 * case.policy.max_postcopy_bandwidth_bytes_per_s,
        ),
        strategy=dataclasses.replace(
            strategy,
            storage_bytes=2 * strategy.storage_bytes,
            storage_dirty_bytes_per_s=2 * strategy.storage_dirty_bytes_per_s,
            checkpoint_bytes=2 * strategy.checkpoint_bytes,
            xbzrle_cache_bytes=2 * strategy.xbzrle_cache_bytes,
            prefetch_pages=0,
        ),
    )


def _agree(name: str, case: Scenario, base: Prediction, other: Prediction) -> Iterator[Violation]:
    """Hold two predictions to the same verdict, and to the same time within what windows and rounds are."""
    off_s = _difference_s(base, other)
    if off_s > 1e-6 * max(1.0, base.total_time_s if math.isfinite(base.total_time_s) else 1.0):
        yield Violation(name, _explained(case, base, other, off_s), f"{_short(base)} -> {_short(other)}")


def _difference_s(base: Prediction, other: Prediction) -> float:
    if base.total_time_s == other.total_time_s:
        return 0.0 if base.verdict == other.verdict else math.inf
    return abs(base.total_time_s - other.total_time_s)


# -- more and less ---------------------------------------------------------------------------


def _more_bandwidth(case: Scenario) -> Scenario | None:
    link = case.link
    if link.bandwidth_bytes_per_s == math.inf:
        return None
    return _link(case, bandwidth_bytes_per_s=1.25 * link.bandwidth_bytes_per_s)


def _higher_cap(case: Scenario) -> Scenario | None:
    return _policy(case, max_bandwidth_bytes_per_s=1.25 * case.policy.max_bandwidth_bytes_per_s)


def _fewer_writes(case: Scenario) -> Scenario | None:
    if not case.guest.dirty:
        return None
    return _classes(case, lambda one: dataclasses.replace(one, writes_per_s=0.8 * one.writes_per_s))


def _emptied(case: Scenario) -> Scenario | None:
    """Have each class leave half of its pages zero."""
    if not case.guest.dirty or case.xbzrle_cache_bytes is not None:
        return None
    return _classes(case, lambda one: dataclasses.replace(one, zero_share=0.5))


def _less_memory(case: Scenario) -> Scenario | None:
    pages = _cold_bytes(case.guest) // PAGE // 5
    return _guest(case, memory_bytes=case.guest.memory_bytes - pages * PAGE) if pages > 0 else None


def _higher_limit(case: Scenario) -> Scenario | None:
    return _policy(case, downtime_limit_s=min(2000.0, 2 * case.policy.downtime_limit_s))


def _not_slower(name: str, case: Scenario, base: Prediction, other: Prediction) -> Iterator[Violation]:
    """Hold the better of two scenarios to at most the other's time."""
    if base.verdict in ("aborted", "timed_out") or other.verdict in ("aborted", "timed_out"):
        if base.verdict == "converges":
            yield Violation(name, _explained(case, base, other, math.inf), f"{_short(base)} -> {_short(other)}")
        return
    later_s = other.total_time_s - base.total_time_s if other.total_time_s != base.total_time_s else 0.0
    if later_s > 1e-9 * base.total_time_s + 1e-9:
        yield Violation(name, _explained(case, base, other, later_s), f"{_short(base)} -> {_short(other)}")


def _explained(case: Scenario, base: Prediction, other: Prediction, off_s: float) -> str:
    """Return which step of the rule explains a difference; no text: none does."""
    window_s = 2.0 * max(WINDOW_S + case.host.window_extra_s, case.host.poll_s)
    later = [row.duration_s for one in (base, other) for row in one.rounds[1:]]
    moments = bool(case.link.steps) or any(one.phases or one.kind == "sweep" for one in case.guest.dirty)
    throttles = [max((row.throttle for row in one.rounds), default=0.0) for one in (base, other)]
    slowed = [row.throttle for row in base.rounds] != [row.throttle for row in other.rounds]
    checks = {
        "window": off_s <= window_s,
        "windows": off_s <= PAGE / _look_bytes(case, base) * base.total_time_s,
        "round": off_s <= window_s + 2.0 * max(later, default=0.0),
        "throttle": any(throttles) and slowed,
        "moment": moments,
        "schedule": case.policy.name in MANAGERS,
        "passes": case.policy.name not in QEMU + MANAGERS and base.iterations != other.iterations,
        "switch": case.strategy.name == "hybrid",
        "differences": case.xbzrle_cache_bytes is not None,
    }
    return next((name for name, holds in checks.items() if holds), "")


def _look_bytes(case: Scenario, base: Prediction) -> float:
    """Return what goes between two looks at the rule in the first pass [B]."""
    sent = [row.sent_bytes / row.duration_s for row in base.rounds if row.duration_s > 0.0]
    return max(1.0, next(iter(sent), 0.0) * min(WINDOW_S, case.host.poll_s))


def _short(one: Prediction) -> str:
    return f"{one.verdict} {one.total_time_s:.6g} s, {one.downtime_s:.4g} s, {one.iterations} rounds"


RULES: dict[str, tuple[Change, Callable[[str, Scenario, Prediction, Prediction], Iterator[Violation]]]] = {
    "a link step of 1 changes nothing": (_step_of_one, _same),
    "a link step in two halves changes nothing": (_step_in_two, _same),
    "a phase of 1 changes nothing": (_phase_of_one, _same),
    "a phase in two halves changes nothing": (_phase_in_two, _same),
    "an idle class behind the others changes nothing": (_idle_class, _same),
    "flags of post-copy change nothing but advice without it": (_postcopy_flags, _same_but_advice),
    "compressible memory changes nothing uncompressed": (_compression_unused, _same),
    "differences change nothing where there are none": (_differences_unused, _same),
    "places of zero pages change nothing without them": (_zero_places_unused, _same),
    "a time limit that is not reached changes nothing": (_late_limit, _not_reached),
    "a class in two halves agrees": (_halves, _agree),
    "interleaved classes in another order agree": (_reordered, _agree),
    "everything doubled agrees": (_doubled, _agree),
    "more bandwidth is not slower": (_more_bandwidth, _not_slower),
    "a higher cap is not slower": (_higher_cap, _not_slower),
    "fewer writes are not slower": (_fewer_writes, _not_slower),
    "less memory is not slower": (_less_memory, _not_slower),
    "pages that are emptied are not slower": (_emptied, _not_slower),
    "a higher limit is not slower": (_higher_limit, _not_slower),
}
