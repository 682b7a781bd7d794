"""Lesson 6, the project: a database from its log, the link that it needs, and the host that it leaves in time."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from migkit.calibrate.fit import fit
from migkit.calibrate.guest import rounds
from migkit.calibrate.guest.fitting import fit_guest
from migkit.course.exercises import Choice, Mistake, Number
from migkit.course.lesson_checks import Lesson
from migkit.course.quantities import RATE, SHARE, TIME
from migkit.importers import Log, read
from migkit.models.dirty import unique_dirty_pages
from migkit.models.predict import predict
from migkit.planning.drain import drain
from migkit.planning.inventory import Inventory
from migkit.planning.rehearsal import rehearse
from migkit.planning.size import size
from migkit.planning.targets import Targets
from migkit.scenario import Guest, Host, Policy, Scenario
from migkit.traces import data
from migkit.units import PAGE_BYTES, format_rate

if TYPE_CHECKING:
    from migkit.planning.drain import Plan
    from migkit.planning.rehearsal import Rehearsal

__all__ = ["databases", "lesson"]

_LOG: Final = "kvm_database/precopy-4t-1.json.gz"
_TARGETS: Final = Targets(downtime_s=0.35, total_time_s=10.0)
_LINK: Final = "10 Gbit/s"
_MANY: Final = 12
_WINDOW_S: Final = 30.0
_DRAWS: Final = 127
_PROBABILITY: Final = 0.95


def databases(guest: Guest, *, many: int = _MANY) -> Inventory:
    """Return an inventory: so many of this guest on host ``a``, with hosts ``b`` and ``c`` beside it on 10 Gbit/s.

    Parameters
    ----------
    guest
        With its page classes.
    many
        How many of it.

    Examples
    --------
    >>> len(databases(Guest(memory_bytes=2**33), many=3).vms)
    3
    """
    row: dict[str, Any] = {"host": "a", "memory_bytes": guest.memory_bytes, "zero_bytes": guest.zero_bytes}
    row |= {"processors": 4}
    for at, one in enumerate(guest.dirty, 1):
        row |= {f"dirty_{at}_region_bytes": one.region_bytes, f"dirty_{at}_writes_per_s": one.writes_per_s}
    hosts = [{"host": name, "memory": "256 GiB", "processors": 64, "link": _LINK} for name in "abc"]
    return Inventory.read([{"vm": f"db{at}"} | row for at in range(many)], hosts)


def lesson() -> Lesson:
    """Return lesson 6.

    Examples
    --------
    >>> [one.name for one in lesson().exercises][:3]
    ['reading_bytes_per_s', 'replay_error', 'least_bandwidth_bytes_per_s']
    """
    return Lesson(
        number=6,
        title="project: size a link, drain a host",
        exercises=(_reading(), _replay_error(), _least_bandwidth(), _bound(), _late(), _enough()),
        predictions=(_first_guess(),),
        case={"log": _LOG, "targets": _TARGETS, "many": _MANY, "window_s": _WINDOW_S, "draws": _DRAWS},
    )


@functools.cache
def _log() -> Log:
    return read(data.data_path(_LOG))[0]


@functools.cache
def _guest() -> Guest:
    observed = rounds.of_log(_log())
    assert observed is not None, "the shipped log has rounds"
    return fit_guest([observed]).guest


@functools.cache
def _host() -> Host:
    return fit([], logs=[_log()]).host


@functools.cache
def _case(policy: Policy) -> Scenario:
    return Scenario(guest=_guest(), host=_host(), policy=policy)


def _uncapped() -> Scenario:
    return _case(Policy.parse(name="qemu", max_bandwidth="unlimited"))


def _volume() -> float:
    return float(_guest().memory_bytes - _guest().zero_bytes)


def _per_s(window_s: float) -> float:
    return unique_dirty_pages(_guest(), window_s) * PAGE_BYTES / window_s


def _reading() -> Number:
    def writes() -> float:
        return sum(one.writes_per_s for one in _guest().dirty) * PAGE_BYTES

    return Number(
        name="reading_bytes_per_s",
        asks="the dirty rate of the fitted database in a window of 1 s [B/s]",
        quantity=RATE,
        expected=lambda: _per_s(1.0),
        meaning=lambda: (
            f"{_per_s(1.0) / 1e6:.0f} MB/s in 1 s, {_per_s(10.0) / 1e6:.0f} MB/s in 10 s, while its writes would be "
            f"{writes() / 1e6:.0f} MB/s."
        ),
        hint="unique_dirty_pages(guest, 1.0) counts distinct pages. A page holds 4,096 bytes.",
        mistakes=(
            Mistake(writes, "That is 4 KiB for every write. Count distinct pages: unique_dirty_pages."),
            Mistake(lambda: _per_s(10.0), "That is a window of 10 s. The window was 1 s."),
        ),
    )


def _replay_error() -> Number:
    def measured() -> float:
        return float(_log().meta["totals"]["total_time_s"])

    def predicted() -> float:
        return predict(_case(Policy()), level=None).total_time_s

    return Number(
        name="replay_error",
        asks="by how much the logged total time is predicted wrong, as a share of the logged one",
        quantity=SHARE,
        expected=lambda: predicted() / measured() - 1.0,
        meaning=lambda: (
            f"{100.0 * (predicted() / measured() - 1.0):+.2f} % ({predicted():.2f} s against {measured():.2f} s). "
            "This run was used for the fit: a model that cannot even tell its own log would be useless, and more "
            "than that is not shown."
        ),
        hint="Predict with QEMU's defaults, those of the logged run: Policy(). Then predicted less logged "
        "over logged.",
        mistakes=(
            Mistake(
                lambda: predict(_uncapped(), level=None).total_time_s / measured() - 1.0,
                "You predicted without a cap. The logged migration ran with QEMU's defaults: Policy().",
            ),
            Mistake(
                lambda: predicted() - measured(),
                "That is the difference in seconds. Divide it by the logged time.",
            ),
            Mistake(
                lambda: predicted() / measured(), "That is the ratio. The error is by how much it differs from 1."
            ),
        ),
        tolerance=0.02,
    )


@functools.cache
def _least(targets: Targets = _TARGETS) -> float:
    return size(_uncapped(), targets=targets).value


def _least_bandwidth() -> Number:
    return Number(
        name="least_bandwidth_bytes_per_s",
        asks="the least bandwidth with which one database moves within 10 s and is down for at most 350 ms [B/s]",
        quantity=RATE,
        expected=_least,
        meaning=lambda: (
            f"{format_rate(_least())}. One pass over its memory in 10 s alone would need "
            f"{format_rate(_volume() / 10.0)}; the rest is for pages that are sent again."
        ),
        hint="size(scenario, targets=...) with a policy that has no cap.",
        mistakes=(
            Mistake(
                lambda: _volume() / 10.0,
                "That is one pass over the memory in 10 s. Pages that are dirtied meanwhile are sent again.",
            ),
            Mistake(
                lambda: _guest().memory_bytes / 10.0,
                "You sent all of the memory, and each page once. Zero pages cost next to nothing; dirty ones are "
                "sent again.",
            ),
            Mistake(
                lambda: _least(Targets()),
                "With this bandwidth it converges, but not within 10 s. Give size the targets.",
            ),
        ),
        tolerance=0.01,
    )


@functools.cache
def _plan(capped: bool = False) -> Plan:
    base = _case(Policy()) if capped else _uncapped()
    return drain(databases(_guest()), ["a"], base=base, improve_s=0.0)


def _bound() -> Number:
    def once_s() -> float:
        return _MANY * _volume() / 1.25e9

    return Number(
        name="makespan_s",
        asks="when host a is empty by the plan [s]",
        quantity=TIME,
        expected=lambda: _plan().makespan_s,
        meaning=lambda: (
            f"{_plan().makespan_s:.1f} s, and no plan is shorter than {_plan().lower_bound_s:.1f} s: all of it has "
            f"to go through the link of host a. One pass over all twelve would take {once_s():.1f} s."
        ),
        hint="drain(inventory, ['a'], base=..., improve_s=0.0) returns a plan; its makespan_s is the time.",
        mistakes=(
            Mistake(
                lambda: _plan(capped=True).makespan_s,
                "You planned with QEMU's default cap of 128 MiB/s for each migration. Give the base without a cap.",
            ),
            Mistake(
                once_s,
                "That is one pass over all twelve. Pages that are dirtied meanwhile are sent again.",
            ),
            Mistake(
                lambda: _MANY * _guest().memory_bytes / 1.25e9,
                "You sent all of the memory. Zero pages cost next to nothing.",
            ),
        ),
        tolerance=0.02,
    )


@functools.cache
def _chances() -> Rehearsal:
    return rehearse(databases(_guest()), ["a"], manager="kubevirt", deadline_s=_WINDOW_S, draws=_DRAWS)


def _late() -> Number:
    return Number(
        name="late_s",
        asks="by when KubeVirt has emptied the host with a probability of 95 % [s]",
        quantity=TIME,
        expected=lambda: _chances().empty_by_s(_PROBABILITY),
        meaning=lambda: (
            f"{_chances().empty_by_s(_PROBABILITY):.0f} s, not {_plan().makespan_s:.0f} s: a manager has slots and "
            "a queue, it looks only now and then, and nobody has measured these hosts."
        ),
        hint='rehearse(inventory, ["a"], manager="kubevirt", deadline_s=30.0, draws=127) has empty_by_s.',
        mistakes=(
            Mistake(
                lambda: _chances().empty_by_s(0.5),
                "That is the median: half of the drains take longer. Ask for 0.95.",
            ),
            Mistake(lambda: _plan().makespan_s, "That is the plan. A manager carries it out in its own way."),
            Mistake(lambda: _chances().empty_by_s(0.05), "You took the fast end: 0.95 is the late one."),
        ),
        tolerance=0.02,
    )


def _enough() -> Choice:
    return Choice(
        name="enough",
        asks="whether a maintenance window of 30 s is enough",
        options={
            "a": "yes: the plan fits",
            "b": "no: not even the plan fits",
            "c": "the plan fits, but the manager keeps it with less than 95 %",
        },
        expected=lambda: (
            "b" if _plan().makespan_s > _WINDOW_S else "c" if _chances().probability < _PROBABILITY else "a"
        ),
        meaning=lambda: (
            f"The plan needs {_plan().makespan_s:.0f} s, and KubeVirt keeps 30 s with "
            f"{100.0 * _chances().probability:.0f} %. Say so, with the time that it keeps with 95 %: that is an "
            "answer with which somebody can decide."
        ),
        wrong={
            "a": "The plan fits. Who carries it out, and how likely is it that the manager is as fast?",
            "b": "Compare makespan_s with 30 s.",
        },
    )


def _first_guess() -> Choice:
    ends = {"a": 15.0, "b": 30.0, "c": 60.0, "d": float("inf")}
    return Choice(
        name="first_guess",
        asks="how long it takes KubeVirt to empty the host with a probability of 95 %",
        options={"a": "less than 15 s", "b": "15 to 30 s", "c": "30 s to 1 min", "d": "more than 1 min"},
        expected=lambda: next(letter for letter, end in ends.items() if _chances().empty_by_s(_PROBABILITY) < end),
        meaning=lambda: f"With 95 % the host is empty after {_chances().empty_by_s(_PROBABILITY):.0f} s.",
    )
