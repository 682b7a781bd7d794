"""What a system could be told to do with one guest: every combination of its settings, and which are worth a look."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from migkit import jit
from migkit.errors import InfeasibleError, UsageError, shown
from migkit.models import story
from migkit.models.goodput import goodput
from migkit.models.result import Prediction
from migkit.planning.targets import Targets
from migkit.scenario import Scenario
from migkit.scenario.ability import missing
from migkit.scenario.form.given import Given, scenario_of
from migkit.scenario.strategy import STRATEGIES
from migkit.units import format_duration, format_rate, format_size

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["GOALS", "Change", "Option", "Tradeoffs", "axes", "changed", "tradeoffs"]

GOALS: Final = {  # what is better when it is less: below which a difference does not matter
    "downtime_s": 1e-3,
    "total_time_s": 0.1,
    "transferred_bytes": 2.0**20,
    "guest_slowdown": 1e-3,
    "risk": 1e-9,
}
_STREAMS: Final = (2, 4, 8)
_LONGER: Final = (2.0, 5.0)  # times the downtime limit
_LONGEST_S: Final = 2000.0
_SHOWN: Final = 12
_WORTH_COMPILING: Final = 50  # predictions that take longer in plain Python than loading compiled kernels
_MOST_CHANGES: Final = 3  # a longer list of changes is nobody's plan


class Change(NamedTuple):
    """One setting that differs from the scenario's."""

    table: str
    field: str
    value: Any
    words: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One combination of settings.

    Attributes
    ----------
    changes
        What differs from the scenario as it was given; empty: nothing does.
    scenario
        The scenario with these changes.
    result
        Its prediction.
    missed
        Which limits it misses, in words; empty: none.
    """

    changes: tuple[Change, ...]
    scenario: Scenario
    result: Prediction
    missed: tuple[str, ...]

    @property
    def words(self) -> str:
        """The changes as a person says them."""
        return ", ".join(change.words for change in self.changes) or "as it is"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Tradeoffs:
    """Frozen result of :func:`tradeoffs`.

    Attributes
    ----------
    options
        Every combination, the one without a change first.
    front
        Those that keep the limits and that no other one beats in every goal (the Pareto front), fewest changes first.
    best
        Of the front the one with the least weighted sum of logarithms.
    smallest
        Those with one change that keep the limits; empty where the scenario does as it is.
    weights
        Of the goals.
    targets
        The limits.
    """

    options: tuple[Option, ...]
    front: tuple[Option, ...]
    best: Option
    smallest: tuple[Option, ...]
    weights: Mapping[str, float]
    targets: Targets

    @property
    def cure(self) -> str:
        """What the scenario misses as it is, and which single changes help; empty: it misses nothing."""
        if not self.options[0].missed:
            return ""
        missed = "; ".join(self.options[0].missed)
        if not self.smallest:
            return f"As it is, {missed}. No single change helps."
        return f"As it is, {missed}. One change helps: {'; or '.join(option.words for option in self.smallest)}."

    def to_frame(self) -> pd.DataFrame:
        """Return one row an option: its changes, its goals, and whether it is on the front."""
        import pandas as pd

        front = {id(option) for option in self.front}
        rows = [
            {
                "changes": option.words,
                "strategy": option.scenario.strategy.name,
                "verdict": option.result.verdict,
                "keeps_limits": not option.missed,
                "on_front": id(option) in front,
                "is_best": option is self.best,
            }
            | {goal: getattr(option.result, goal) for goal in GOALS}
            for option in self.options
        ]
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        rows = self._rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
        return f"{table}\n{self._more()}".rstrip()

    def _repr_html_(self) -> str:
        return f"{story.table(self._rows())}<p>{self._more()}</p>"

    def _rows(self) -> list[tuple[str, ...]]:
        head = ("", "change", "total time", "downtime", "sent", "slowdown", "risk")
        return [head, *(_row(option, option is self.best) for option in self.front[:_SHOWN])]

    def _more(self) -> str:
        more = len(self.front) - _SHOWN
        return f"({more} more on the front)" if more > 0 else ""


def tradeoffs(
    scenario: Given | None = None,
    *,
    targets: Targets | None = None,
    weights: Mapping[str, float] | None = None,
) -> Tradeoffs:
    """Return what the system of a scenario could be told to do, and which of that no other choice beats.

    Every combination of at most three of these changes is predicted: another strategy, auto-converge, XBZRLE, 2, 4
    or 8 streams, no cap below what the path carries, twice and five times the downtime limit. What the system cannot
    do is left out. The best one of the front minimises ``sum_k w_k ln((x_k + e_k) / (min_k + e_k))`` over the goals
    ``x_k``, with ``e_k`` a difference that does not matter.

    Parameters
    ----------
    scenario
        A guest, a whole scenario, the path of a scenario file, or its tables as a mapping.
    targets
        The limits; None: it must converge.
    weights
        Of ``downtime_s``, ``total_time_s``, ``transferred_bytes``, ``guest_slowdown`` and ``risk``; a goal that
        is not named weighs 1, one of weight 0 does not count.

    Raises
    ------
    UsageError
        As in :func:`migkit.models.predict.predict`, or a weight is wrong.
    InfeasibleError
        None of the combinations keeps the limits.

    Examples
    --------
    >>> from migkit import DirtyClass, Guest
    >>> guest = Guest(memory_bytes=2**32, dirty=(DirtyClass(region_bytes=2**29, writes_per_s=60_000),))
    >>> found = tradeoffs(guest, weights={"downtime_s": 1.0})
    >>> found.options[0].result.verdict, found.best.result.verdict
    ('does_not_converge', 'converges')
    """
    case = scenario_of(scenario, "tradeoffs", guest=None, link=None, host=None, policy=None, strategy=None)
    wanted = targets if targets is not None else Targets()
    kept = _weights(weights)
    combinations = list(_combinations(case))
    if len(combinations) >= _WORTH_COMPILING:
        jit.compile_kernels()
    options = [_option(case, changes, wanted) for changes in combinations]
    good = [option for option in options if not option.missed]
    if not good:
        nearest = "; ".join(options[0].missed)
        raise InfeasibleError(
            f"tradeoffs: none of {len(options)} combinations does ({wanted.words()}); as it is, {nearest}; "
            "a wider link, a smaller guest or wider limits are needed (migkit size finds how much)"
        )
    front = sorted(_front(good), key=lambda option: len(option.changes))
    return Tradeoffs(
        options=tuple(options),
        front=tuple(front),
        best=front[int(np.argmin(_scores(front, kept)))],
        smallest=tuple(option for option in good if len(option.changes) == 1) if options[0].missed else (),
        weights=kept,
        targets=wanted,
    )


def _weights(given: Mapping[str, float] | None) -> dict[str, float]:
    given = given or {}
    for name, weight in given.items():
        if name not in GOALS:
            raise UsageError(f"tradeoffs: {shown(name)} is no goal; give weights of {', '.join(GOALS)}")
        if not 0.0 <= weight < math.inf:
            raise UsageError(f"tradeoffs: a weight of {weight:g} on {name} is out of range; it must be 0 or more")
    if not any(given.get(name, 1.0) for name in GOALS):
        raise UsageError("tradeoffs: every weight is 0; one must be above")
    return {name: float(given.get(name, 1.0)) for name in GOALS}


def axes(case: Scenario) -> Iterator[list[Change]]:
    """Yield the changes of each setting, of which a combination has at most one.

    Examples
    --------
    >>> from migkit import Guest
    >>> [change.words for change in next(axes(Scenario(guest=Guest(memory_bytes=2**30))))]
    ['stopcopy', 'postcopy', 'hybrid']
    """
    strategy, policy = case.strategy, case.policy
    yield [Change("strategy", "name", name, name) for name in STRATEGIES if name != strategy.name]
    if not strategy.auto_converge:
        yield [Change("strategy", "auto_converge", True, "auto-converge")]
    if not strategy.xbzrle and strategy.compression == "none":
        yield [Change("strategy", "xbzrle", True, "XBZRLE")]
    yield [Change("strategy", "streams", count, f"{count} streams") for count in _STREAMS if count > strategy.streams]
    path = goodput(case)
    if policy.max_bandwidth_bytes_per_s < path:
        words = "no cap" if math.isinf(path) else f"a cap of {format_rate(path)}"
        yield [Change("policy", "max_bandwidth_bytes_per_s", path, words)]
    limits_s = [policy.downtime_limit_s * factor for factor in _LONGER]
    yield [
        Change("policy", "downtime_limit_s", limit_s, f"a downtime limit of {format_duration(limit_s)}")
        for limit_s in limits_s
        if 0.0 < limit_s <= _LONGEST_S
    ]


def _combinations(case: Scenario) -> Iterator[tuple[Change, ...]]:
    """Yield every combination of at most so many changes that the system can do; none first."""
    asked = {one.key for one in missing(case)}
    every = list(axes(case))
    for count in range(_MOST_CHANGES + 1):
        for chosen in itertools.combinations(every, count):
            for changes in itertools.product(*chosen):
                if {one.key for one in missing(changed(case, changes))} <= asked:
                    yield changes


def changed(case: Scenario, changes: tuple[Change, ...]) -> Scenario:
    """Return a scenario with other settings.

    Examples
    --------
    >>> from migkit import Guest
    >>> case = Scenario(guest=Guest(memory_bytes=2**30))
    >>> changed(case, (Change("policy", "downtime_limit_s", 0.6, "600 ms"),)).policy.downtime_limit_s
    0.6
    """
    for change in changes:
        record = dataclasses.replace(getattr(case, change.table), **{change.field: change.value})
        case = dataclasses.replace(case, **{change.table: record})
    return case


def _option(case: Scenario, changes: tuple[Change, ...], targets: Targets) -> Option:
    scenario = changed(case, changes)
    result = targets.predict(scenario)
    return Option(changes=changes, scenario=scenario, result=result, missed=targets.missed(result))


def _goals(options: list[Option]) -> np.ndarray:
    """Return one row an option, one column a goal."""
    return np.array([[getattr(option.result, goal) for goal in GOALS] for option in options])


def _front(options: list[Option]) -> list[Option]:
    """Return those that none beats: as good in every goal, and better by what matters in one."""
    goals, matters = _goals(options), np.array(list(GOALS.values()))
    changes = np.array([len(option.changes) for option in options])
    kept = []
    for at, option in enumerate(options):
        as_good = (goals <= goals[at] + matters).all(axis=1)
        better = (goals < goals[at] - matters).any(axis=1)
        alike = as_good & (changes < changes[at])  # the same for fewer changes
        if not (as_good & better).any() and not alike.any():
            kept.append(option)
    return kept


def _scores(options: list[Option], weights: Mapping[str, float]) -> np.ndarray:
    goals, matters = _goals(options), np.array(list(GOALS.values()))
    ratios = np.log((goals + matters) / (goals.min(axis=0) + matters))
    return np.asarray(ratios @ np.array([weights[goal] for goal in GOALS]))


def _row(option: Option, is_best: bool) -> tuple[str, str, str, str, str, str, str]:
    result = option.result
    return (
        "->" if is_best else "",
        option.words,
        format_duration(result.total_time_s),
        format_duration(result.downtime_s),
        format_size(result.transferred_bytes),
        f"{100 * result.guest_slowdown:.1f} %",
        f"{result.risk:.2g}",
    )
