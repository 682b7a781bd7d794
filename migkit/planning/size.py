"""The inverse question: the least bandwidth, or the largest guest, with which a migration keeps its limits."""

from __future__ import annotations

import dataclasses
import functools
import html
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from migkit.errors import InfeasibleError, UsageError
from migkit.models import story
from migkit.models.bulk.several import Outcome, predict_several
from migkit.models.goodput import goodput
from migkit.models.result import Prediction
from migkit.planning.targets import Targets
from migkit.planning.unknowns import Unknown, unknown
from migkit.scenario import Scenario
from migkit.scenario.form.given import Given, scenario_of
from migkit.units import format_duration, format_rate, format_size

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Near", "Size", "size"]

_STEPS: Final = 64  # of the scan, in equal ratios from bound to bound
_CLOSE: Final = 1e-4  # between the answer and the value beside it, of the value
_FACTORS: Final = (0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0)  # of the answer: the curve of trade-offs
_ROOM: Final = 0.95  # of a target: what a shorter downtime limit may plan for, beside what comes on top
_WORTH: Final = 1.1  # how much better an answer must be for a shorter limit to be named
_SOUGHT: Final = {
    "max_bandwidth": "cap",
    "streams": "number of streams",
    "writes": "rate of writes",
    "memory": "size of memory",
    "parallel": "number of migrations at once",
}
_CURE: Final = "ease the limits, or see which settings would do (migkit tradeoffs)"
_DIGITS: Final = 4  # of an answer, rounded to the side that holds


class Near(NamedTuple):
    """One point of the trade-off: what a value near the answer gives."""

    value: float  # of the unknown, in its own unit
    holds: bool
    verdict: str
    total_time_s: float
    downtime_s: float
    transferred_bytes: float
    guest_slowdown: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Size:
    """Frozen result of :func:`size`.

    Attributes
    ----------
    unknown
        Name of what was asked for.
    value
        The answer, in the unit of the unknown: B/s, s, writes/s, pages or a count.
    beside
        The value next to it, less than 0.1 % away or one count, with which the limits are not kept; None where the
        answer is the end of what makes sense.
    until
        Where the easier values hold only up to some value, that value; else None. A longer downtime limit, for one,
        converges sooner and stops the guest for longer.
    binding
        What is missed at ``beside``, in words.
    cure
        A shorter downtime limit with which the answer is better by a tenth or more, in words; empty: there is none.
    carried
        What hosts, streams and link carry at most [B/s]: more bandwidth changes nothing. Infinite where bandwidth was
        not asked for.
    also
        Other ranges ``(low, high)`` of the scan that hold, because of a step of the rule.
    result
        The prediction at the answer.
    curve
        The trade-off around the answer.
    targets
        The limits.
    scenario
        What was asked about, with the answer in its place.
    """

    unknown: str
    value: float
    beside: float | None
    until: float | None
    binding: tuple[str, ...]
    cure: str
    carried: float
    also: tuple[tuple[float, float], ...]
    result: Prediction
    curve: tuple[Near, ...]
    targets: Targets
    scenario: Scenario

    @property
    def text(self) -> str:
        """The answer as a person reads it: value, limits, and what is missed just beside it."""
        asked = unknown(self.unknown)
        name = asked.name.replace("_", " ")
        extreme, side = ("least", "below") if asked.least else ("largest", "above")
        text = f"{extreme} {name}: {asked.precise(self.value, _DIGITS)} ({self.targets.words()})."
        if self.beside is None:
            text += f" It is the {extreme} that was looked at."
        else:
            text += f" Just {side} it: {'; '.join(self.binding)}."
        if self.until is not None:
            text += f" It holds up to {asked.shown(self.until)}, and not beyond."
        if self.cure:
            text += f" {self.cure}"
        if self.carried < 2.0 * self.value:
            text += f" Hosts and streams carry {format_rate(self.carried)}; more bandwidth changes nothing."
        if self.also:
            ranges = ", ".join(
                asked.shown(low) if low == high else f"{asked.shown(low)} to {asked.shown(high)}"
                for low, high in self.also
            )
            text += f" It holds again, by a step of the rule, about {ranges}."
        return text

    def to_frame(self) -> pd.DataFrame:
        """Return the curve as a table, one row a value."""
        import pandas as pd

        return pd.DataFrame(list(self.curve), columns=list(Near._fields))

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.text)}</p>{story.table(self._rows())}"

    def _rows(self) -> list[tuple[str, ...]]:
        show = unknown(self.unknown).shown
        header = ("", self.unknown.replace("_", " "), "total time", "downtime", "sent", "slowdown", "limits")
        return [header, *(_row(near, self, show) for near in self.curve)]

    def __repr__(self) -> str:
        rows = self._rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
        return f"{self.text}\n\n{table}"


def size(
    scenario: Given | None = None,
    *,
    find: str = "bandwidth",
    targets: Targets | None = None,
    low: float | None = None,
    high: float | None = None,
) -> Size:
    """Return the least, or the largest, value of one quantity with which a migration keeps its limits.

    The bounds are scanned in equal ratios, then the step next to the answer is halved until its ends differ by less
    than 0.01 %. The answer is rounded to four digits on the side that holds, and predicted once more. Where a rule
    makes the outcome not monotone, the answer is that beyond which every value of the scan does, and ``also`` has the
    other ranges.

    Parameters
    ----------
    scenario
        A guest, a whole scenario, the path of a scenario file, or its tables as a mapping.
    find
        Name of the unknown: ``bandwidth``, ``max_bandwidth``, ``downtime_limit`` or ``streams`` (the least),
        ``writes``, ``memory`` or ``parallel`` (the largest).
    targets
        The limits; None: it must converge.
    low, high
        Bounds of the search, in the unit of the unknown; None: those that make sense for it.

    Raises
    ------
    UsageError
        As in :func:`migkit.models.predict.predict`, or the unknown is not known.
    InfeasibleError
        No value within the bounds does.

    Examples
    --------
    >>> from migkit import DirtyClass, Guest
    >>> guest = Guest(memory_bytes=2**32, dirty=(DirtyClass(region_bytes=2**28, writes_per_s=60_000),))
    >>> found = size(guest, find="bandwidth", targets=Targets(total_time_s=30.0))
    >>> found.result.verdict, found.result.total_time_s <= 30.0
    ('converges', True)
    """
    case = scenario_of(scenario, "size", guest=None, link=None, host=None, policy=None, strategy=None)
    asked, wanted = unknown(find), targets if targets is not None else Targets()
    least, most = asked.bounds(case)
    search = _Search(case, asked, wanted)
    low, high = least if low is None else low, most if high is None else high
    if not 0.0 < low < high < math.inf:
        raise UsageError(f"size: the search from {low:g} to {high:g} is empty; low must be above 0 and below high")
    values = _scan(asked, low, high)
    found = _answer(search, values)
    cure = _shorter_limit(search, values, found)
    if found is None:
        raise InfeasibleError(_nothing_does(search, values[0], cure))
    return dataclasses.replace(found, cure=cure)


class _Search:
    """Predictions of one scenario with other values of the unknown."""

    def __init__(self, case: Scenario, asked: Unknown, targets: Targets) -> None:
        self.case = case
        self.asked = asked
        self.targets = targets
        self.at = functools.cache(self._predict)
        self._looked: dict[float, Outcome] = {}

    def _predict(self, value: float) -> Prediction:
        return self.targets.predict(self.asked.put(self.case, value))

    def look(self, values: list[float]) -> None:
        """Predict many values at once; with a probability each needs an interval of its own."""
        if self.targets.probability is None:
            new = [value for value in values if value not in self._looked]
            found = predict_several([self.asked.put(self.case, value) for value in new]) if new else []
            self._looked |= dict(zip(new, found, strict=True))

    def outcome(self, value: float) -> Prediction | Outcome:
        return self._looked.get(value) or self.at(value)

    def holds(self, value: float) -> bool:
        return not self.targets.missed(self.outcome(value))

    def between(self, inner: float, outer: float) -> tuple[float, float]:
        """Halve what lies between a value that holds and one that does not; the first returned holds."""
        while (abs(outer - inner) > 1.0) if self.asked.whole else (abs(outer - inner) > _CLOSE * max(inner, outer)):
            middle = (inner + outer) // 2 if self.asked.whole else math.sqrt(inner * outer)
            if self.holds(middle):
                inner = middle
            else:
                outer = middle
        return inner, outer

    def rounded(self, value: float) -> float:
        """Return the value in four digits where that holds as well, else as it is."""
        short = self.asked.rounded(value, _DIGITS)
        return short if self.holds(short) else value

    def runs(self, values: list[float]) -> list[list[float]]:
        """Return the runs of the scan within which every value holds, that of the easiest values first."""
        runs: list[list[float]] = []
        before = False
        for value in values:
            holds = self.holds(value)
            if holds and before:
                runs[-1].append(value)
            elif holds:
                runs.append([value])
            before = holds
        return runs


def _scan(asked: Unknown, low: float, high: float) -> list[float]:
    """Return values between the bounds in equal ratios; the first one is the easiest for the limits."""
    ratio = (high / low) ** (1.0 / (_STEPS - 1))
    values = [low * ratio**step for step in range(_STEPS - 1)] + [high]
    if asked.whole:
        values = [float(value) for value in sorted({round(value) for value in values})]
    return values[::-1] if asked.least else values


def _answer(search: _Search, values: list[float]) -> Size | None:
    asked = search.asked
    search.look(values)
    runs = search.runs(values)
    if not runs:
        return None
    value, beside = _edge(search, values, runs[0])
    most = runs[0][0] if runs[0][0] == values[0] else _far_edge(search, values, runs[0])
    also = tuple(sorted((min(run), max(run)) for run in runs[1:]))
    missed = () if beside is None else search.targets.missed(search.at(beside))
    around = _around(search, value)
    search.look(around)
    return Size(
        unknown=asked.name,
        value=value,
        beside=beside,
        until=None if most == values[0] else most,
        binding=missed,
        cure="",
        carried=goodput(asked.put(search.case, values[0])) if asked.name.endswith("bandwidth") else math.inf,
        also=also,
        result=search.at(value),
        curve=tuple(_near(search, near) for near in around),
        targets=search.targets,
        scenario=asked.put(search.case, value),
    )


def _edge(search: _Search, values: list[float], run: list[float]) -> tuple[float, float | None]:
    """Return the last value that holds, rounded, and the value beside it that does not."""
    at = values.index(run[-1]) + 1
    if at == len(values):
        return run[-1], None
    inner, outer = search.between(run[-1], values[at])
    return search.rounded(inner), outer


def _far_edge(search: _Search, values: list[float], run: list[float]) -> float:
    """Return the other end of a run that does not begin with the easiest value."""
    return search.between(run[0], values[values.index(run[0]) - 1])[0]


def _around(search: _Search, value: float) -> list[float]:
    """Return the values of the curve, within what makes sense; the answer is one of them."""
    low, high = search.asked.bounds(search.case)
    values = {value * factor for factor in _FACTORS if low <= value * factor <= high} | {value}
    return sorted({float(round(one)) for one in values} if search.asked.whole else values)


def _near(search: _Search, value: float) -> Near:
    result = search.outcome(value)
    return Near(
        value,
        search.holds(value),
        result.verdict,
        result.total_time_s,
        result.downtime_s,
        result.transferred_bytes,
        result.guest_slowdown,
    )


def _shorter_limit(search: _Search, values: list[float], found: Size | None) -> str:
    """Say with which shorter downtime limit the answer is better by a tenth, if with any.

    A policy plans the last pages under its limit. What else the guest stands still for comes on top, so with a limit
    as long as the target the outcome hangs on how full the last pass happens to be.
    """
    policy, target_s = search.case.policy, search.targets.downtime_s
    likely = search.at(values[0]) if found is None else found.result
    beside_s = sum(part_s for name, part_s in likely.downtime_parts if name != "last pages")
    if math.isinf(target_s) or search.asked.name == "downtime_limit" or likely.verdict != "converges":
        return ""
    limit_s = _down(_ROOM * (target_s - beside_s))
    if not 0.0 < limit_s < policy.downtime_limit_s:
        return ""
    case = dataclasses.replace(search.case, policy=dataclasses.replace(policy, downtime_limit_s=limit_s))
    other = _answer(_Search(case, search.asked, search.targets), values)
    if other is None:
        return ""
    if found is not None:
        gain = found.value / other.value if search.asked.least else other.value / found.value
        if gain < _WORTH:
            return ""
    extreme = "least" if search.asked.least else "largest"
    name, shown = search.asked.name.replace("_", " "), search.asked.precise(other.value, _DIGITS)
    return (
        f"With a downtime limit of {format_duration(limit_s)} in place of {format_duration(policy.downtime_limit_s)} "
        f"the {extreme} {name} is {shown}: {format_duration(beside_s)} of other downtime come on top of the limit."
    )


def _down(value: float) -> float:
    """Return a value in two digits, rounded down; 0 or less as it is."""
    if value <= 0.0:
        return value
    digits = 1 - math.floor(math.log10(value))
    return math.floor(value * 10.0**digits + 1e-9) / 10.0**digits


def _nothing_does(search: _Search, best: float, cure: str) -> str:
    """Say that no value does, what is missed at the easiest one, and what would do or what the path carries of it."""
    asked = search.asked
    result = search.at(best)
    text = f"size: no {_SOUGHT.get(asked.name, asked.name.replace('_', ' '))} does: with {asked.shown(best)}"
    if cure:
        return f"{text} {'; '.join(search.targets.missed(result))}. {cure.removesuffix('.')}"
    carried = goodput(asked.put(search.case, best))
    if asked.name.endswith("bandwidth") and carried < best:
        missed = "; ".join(search.targets.missed(result))
        return f"{text} {missed}; hosts, streams and link carry {format_rate(carried)} of that; {_CURE}"
    return f"{text} {search.targets.failure(result)}; {_CURE}"


def _row(near: Near, size: Size, show: Callable[[float], str]) -> tuple[str, str, str, str, str, str, str]:
    endless = math.isinf(near.transferred_bytes)
    return (
        "->" if near.value == size.value else "",
        show(near.value),
        format_duration(near.total_time_s),
        format_duration(near.downtime_s) if near.verdict == "converges" else "",
        "without end" if endless else format_size(near.transferred_bytes),
        f"{100 * near.guest_slowdown:.1f} %",
        "holds" if near.holds else near.verdict.replace("_", " ") if near.verdict != "converges" else "misses",
    )
