"""What would make a migration converge: each change is predicted before it is named.

A remedy sets one field of a scenario or a few to round values, and holds for the values that are printed and a tenth
beyond them. It stays within what the policy's system can do, and is named as people of that system call it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from migkit.engine.records import Result
from migkit.models import goodput as paths
from migkit.models.advice.limits import bounds
from migkit.models.history import trial
from migkit.policies import decision
from migkit.policies.presets import Setting
from migkit.scenario import Scenario
from migkit.scenario.ability import missing
from migkit.units import format_rate
from migkit.units import rate as parse_rate

__all__ = ["PERMITS", "Remedy", "Trial", "advise", "idle", "tidy"]

Trial = Callable[[Scenario], Result]  # what becomes of a scenario

_RISING: Final = (1.0, 1.2, 1.5, 2.0, 3.0, 5.0, 10.0)  # times what should do
_FALLING: Final = (0.7, 0.45, 0.3, 0.2)
_BEYOND: Final = 1.1  # a remedy holds up to so many times its value
_MOST_STREAMS: Final = 64
_LARGEST_LIMIT_S: Final = 2000.0  # that QEMU takes
PERMITS: Final = ("force_complete", "allow_disruption", "allow_postcopy", "stop_at_timeout")
_TO_POSTCOPY: Final = ("allow_postcopy", "force_complete")  # by which a policy turns to post-copy in the end
_PATIENCE: Final = (
    *("completion_timeout_s_per_gib", "completion_s_per_gib", "timeout_s", "progress_timeout_s", "stall_window_s"),
    "patience_iterations",
)


class Remedy(NamedTuple):
    """One change that makes the migration converge.

    Attributes
    ----------
    fields
        Keys of a scenario file and what to write there.
    words
        The change as people of the system call it.
    case
        The scenario with that change.
    """

    fields: tuple[tuple[str, str], ...]
    words: str
    case: Scenario

    @property
    def text(self) -> str:
        """The change as a scenario file writes it."""
        return ", ".join(f"{key} = {value}" for key, value in self.fields)


def advise(
    case: Scenario,
    verdict: str,
    limit_s: float,
    needed_bytes_per_s: float,
    settled_s: float,
    tried: Trial | None = None,
) -> Iterator[Remedy]:
    """Yield what would make a scenario converge that does not, each by itself, the least intrusive first.

    Parameters
    ----------
    case, verdict
        The scenario, and what was predicted of it.
    limit_s
        The downtime limit in force [s].
    needed_bytes_per_s, settled_s
        The speed [B/s] and the limit [s] that should just do; from there the search begins.
    tried
        What becomes of a scenario, where it does not begin with all memory still to send.

    Examples
    --------
    >>> from migkit import DirtyClass, Guest
    >>> guest = Guest(memory_bytes=2**30, dirty=(DirtyClass(region_bytes=2**26, writes_per_s=50_000),))
    >>> found = list(advise(Scenario(guest=guest), "does_not_converge", 0.3, 1.9e8, 0.5))
    >>> [one.fields[0][0] for one in found]
    ['policy.max_bandwidth', 'strategy.auto_converge', 'strategy.name', 'policy.downtime_limit']
    """
    search = _Search(case, tried)
    fast = search.speed(needed_bytes_per_s, faster_link=False)
    found: tuple[Callable[[], list[Remedy | None]], ...] = (
        lambda: [fast, search.fewer(), search.auto_converge()],
        lambda: search.time() if verdict in ("aborted", "timed_out") else [],
        lambda: [search.postcopy()],
        lambda: search.permits() if verdict == "aborted" else [],
        lambda: [search.limit(max(settled_s, limit_s * _BEYOND))],
        lambda: [search.speed(needed_bytes_per_s, faster_link=True)] if fast is None else [],
    )
    for several in found:
        yield from (one for one in several() if one is not None)


def idle(case: Scenario) -> tuple[str, ...]:
    """Return what people would try first and what changes nothing alone, since something else limits the speed.

    Examples
    --------
    >>> from migkit import Guest, Link
    >>> idle(Scenario(guest=Guest(memory_bytes=2**30), link=Link(bandwidth_bytes_per_s=1.25e9)))
    ('more streams', 'a faster link')
    """
    return _Search(case).idle()


def tidy(value: float) -> float:
    """Return the number of two digits that is nearest above ``value``.

    Examples
    --------
    >>> tidy(13.1e9), tidy(0.0561), tidy(0.0)
    (14000000000.0, 0.057, 0.0)
    """
    if not 0.0 < value < math.inf:
        return value
    digit = math.floor(math.log10(value)) - 1
    steps = math.ceil(value / 10.0**digit * (1.0 - 1e-12))
    return float(f"{steps}e{digit}")


class _Search:
    """Changes of one scenario, each tried with the engine."""

    def __init__(self, case: Scenario, tried: Trial | None = None) -> None:
        self.case = case
        self._result = tried or _from_the_start
        self.system = case.policy.preset.system
        self.speeds = {name: float(speed) for name, speed in bounds(case, paths.packed(case)[0]).items()}
        self.now = min(self.speeds.values())

    def speed(self, needed: float, faster_link: bool) -> Remedy | None:
        """Return how to send fast enough: a cap, streams, and a link where that is meant, as far as they bind."""
        link = self.speeds["link"]
        if faster_link and math.isinf(link):
            return None
        if faster_link:
            value = _least(lambda v: self._sure(v, True), max(needed, link), 1e15)
        else:
            value = _least(lambda v: self._sure(v, False), needed, link)
        return None if value is None else self._faster(value, faster_link)[1]  # type: ignore[index]

    def _sure(self, value: float, faster_link: bool) -> bool:
        """Say whether it converges at a speed, and a little above where there is more."""
        if value <= self.now:
            return False
        found = self._faster(value, faster_link)
        if found is None or not self._holds(found[0]):
            return False
        above = self._faster(value * _BEYOND, faster_link)
        return above is None or self._holds(above[0])

    def _faster(self, value: float, faster_link: bool) -> tuple[Scenario, Remedy] | None:
        """Return the scenario with each bound below ``value`` raised to it, and the remedy; None: one cannot be."""
        if any(self.speeds[name] < value for name in ("cores", "receiver", "processor")):
            return None
        case, fields, words = self.case, [], []
        share = self.speeds["link"]
        if share < value and not faster_link:
            return None
        parts = (self._streams(value), self._cap(value), self._link(value))
        for speed, part in zip((self._of_streams(), self.speeds["cap"], share), parts, strict=True):
            if speed >= value:
                continue
            if part is None:
                return None
            case = _with(case, part[0], **part[1])
            fields.append(part[2])
            words.append(part[3])
        if missing(case) != missing(self.case):
            return None
        return case, Remedy(tuple(fields), _joined(words), case)

    def _of_streams(self) -> float:
        return min(self.speeds[name] for name in ("stream", "encryption", "tcp"))

    def _streams(self, value: float) -> Any:
        ability, one = self.system.streams, self._of_streams() / self.case.strategy.streams
        number = max(2, math.ceil(value / one * (1.0 - 1e-9)))
        cores = min(self.case.host.source_free_cores, self.case.host.destination_free_cores)
        if not ability.has or number > min(cores, ability.number or _MOST_STREAMS):
            return None
        number = ability.number or number
        return (
            "strategy",
            {"streams": number},
            ("strategy.streams", f"{number}"),
            _named(f"{number} streams", ability),
        )

    def _cap(self, value: float) -> Any:
        if not self.system.cap.has:
            return None
        rate = format_rate(value)
        words = _named(f"a cap of {rate}", self.system.cap)
        if math.isinf(self.speeds["link"]):
            words += " on a link that gives it"
        return "policy", {"max_bandwidth_bytes_per_s": parse_rate(rate)}, ("policy.max_bandwidth", f'"{rate}"'), words

    def _link(self, value: float) -> Any:
        link = self.case.link
        whole = tidy((value * link.migrations + link.background_bytes_per_s) * 8.0) / 8.0
        rate = format_rate(whole)
        return "link", {"bandwidth_bytes_per_s": whole}, ("link.bandwidth", f'"{rate}"'), f"a link of {rate}"

    def fewer(self) -> Remedy | None:
        """Return how many migrations at once would do, where there are several."""

        def holds(number: int) -> bool:
            return self._holds(_with(self.case, "link", migrations=number))

        low, high = 1, self.case.link.migrations
        if high == 1 or self.speeds["link"] > self.now or not holds(low):
            return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if holds(middle) else (low, middle)
        words = f"{low} migrations at once" if low > 1 else "one migration at a time"
        less = _with(self.case, "link", migrations=low)
        return Remedy((("link.migrations", f"{low}"),), _named(words, self.system.together), less)

    def auto_converge(self) -> Remedy | None:
        """Return auto-converge, with what it costs the guest."""
        strategy = self.case.strategy
        throttled = strategy.auto_converge or math.isfinite(strategy.dirty_limit_bytes_per_s)
        ability = self.system.auto_converge
        if throttled or not ability.has or ability.always or strategy.name not in ("precopy", "hybrid"):
            return None
        case = _with(self.case, "strategy", auto_converge=True)
        result = self._result(case)
        if not _ends(result):
            return None
        slower = f", which slows the guest by {100.0 * result.lost_s / result.total_s:.0f} %"
        if self.case.guest.capacity_writes_per_s is None:  # one that rests loses nothing at first
            slower += " if it writes as fast as it can"
        return Remedy((("strategy.auto_converge", "true"),), _named("auto-converge", ability) + slower, case)

    def postcopy(self) -> Remedy | None:
        """Return post-copy: where the policy turns to it by itself, what permits that, else a hybrid strategy."""
        if self.case.strategy.name != "precopy" or not self.system.postcopy.has:
            return None
        words = _named("post-copy", self.system.postcopy)
        names = [one.name for one in self.case.policy.preset.settings if one.name in _TO_POSTCOPY]
        fields: tuple[tuple[str, str], ...] = (("strategy.name", '"hybrid"'),)
        if names:
            fields = tuple((f"policy.settings.{name}", "1") for name in names)
            case = self._set(**dict.fromkeys(names, 1.0))
            goes = int(self._result(case).action) == decision.POSTCOPY
        else:
            case = _with(self.case, "strategy", name="hybrid")
            goes = missing(case) == missing(self.case) and self._holds(case)
        return Remedy(fields, words, case) if goes else None

    def limit(self, guess_s: float) -> Remedy | None:
        """Return the downtime limit that would do, where the rule has one."""
        policy = self.case.policy
        if policy.preset.counts_passes or not self.system.downtime_limit.has:
            return None

        def sure(limit_s: float) -> bool:
            both = (limit_s, min(limit_s * _BEYOND, _LARGEST_LIMIT_S))
            cases = (_with(self.case, "policy", downtime_limit_s=one) for one in both)
            return limit_s > policy.downtime_limit_s and all(map(self._holds, cases))

        limit_s = _least(sure, guess_s, _LARGEST_LIMIT_S)
        if limit_s is None:
            return None
        words = _named(f"a downtime limit of {_seconds(limit_s)}", self.system.downtime_limit)
        case = _with(self.case, "policy", downtime_limit_s=limit_s)
        return Remedy((("policy.downtime_limit", f'"{_seconds(limit_s)}"'),), words, case)

    def time(self) -> list[Remedy | None]:
        """Return how much more time would do: of the time limit, or of a setting of the policy's patience."""
        policy = self.case.policy
        found: list[Remedy | None] = []
        if math.isfinite(policy.time_limit_s):
            result = self._result(_with(self.case, "policy", time_limit_s=math.inf))
            if _ends(result):
                limit_s = tidy(float(result.total_s) * _BEYOND)
                text, case = _seconds(limit_s), _with(self.case, "policy", time_limit_s=limit_s)
                found.append(Remedy((("policy.time_limit", f'"{text}"'),), f"a time limit of {text}", case))
        given = [one for one in policy.preset.settings if one.name in _PATIENCE and policy.setting(one.name) > 0.0]
        return found + [self._patience(one, policy.setting(one.name)) for one in given]

    def _patience(self, setting: Setting, value: float) -> Remedy | None:
        def sure(more: float) -> bool:
            return self._holds(self._set(**{setting.name: more}))

        more = _least(sure, 2.0 * value, 1e4 * value) if sure(1e4 * value) else None
        return None if more is None else _setting(setting, more, self._set(**{setting.name: more}))

    def permits(self) -> list[Remedy | None]:
        """Return the settings by which the policy would end the migration where it aborts it now."""
        policy = self.case.policy
        others = [one for one in policy.preset.settings if one.name in PERMITS and one.name != "allow_postcopy"]
        off = [one for one in others if not policy.setting(one.name)]
        tries = [(one, self._set(**{one.name: 1.0})) for one in off]
        return [_setting(one, 1.0, case) for one, case in tries if self._holds(case)]

    def _set(self, **settings: float) -> Scenario:
        kept = tuple(pair for pair in self.case.policy.settings if pair[0] not in settings)
        return _with(self.case, "policy", settings=(*kept, *settings.items()))

    def idle(self) -> tuple[str, ...]:
        """Return what people would try first and what changes nothing, since something else limits the speed."""
        tries = {
            "a wider cap": self.speeds["cap"],
            "more streams": self._of_streams() if self.system.streams.has else math.inf,
            "a faster link": self.speeds["link"],
        }
        return tuple(name for name, speed in tries.items() if self.now < speed < math.inf)

    def _holds(self, case: Scenario) -> bool:
        return _ends(self._result(case))


def _from_the_start(case: Scenario) -> Result:
    return trial(paths.packed(case)[0], case.policy.decider)


def _ends(result: Result) -> bool:
    return int(result.action) in (decision.SWITCHOVER, decision.POSTCOPY)


def _least(sure: Callable[[float], bool], guess: float, high: float) -> float | None:
    """Return a round value near the least at which ``sure`` holds, up to ``high``; None: at none of those tried."""
    for factor in _RISING:
        value = min(tidy(guess * factor), high)
        if sure(value):
            break
        if value == high:
            return None
    else:
        return None
    if factor > 1.0:
        return value
    for factor in _FALLING:
        lower = tidy(guess * factor)
        if lower >= value or not sure(lower):
            break
        value = lower
    return value


def _with(case: Scenario, table: str, **changes: Any) -> Scenario:
    """Return the scenario with other fields of one of its tables."""
    return dataclasses.replace(case, **{table: dataclasses.replace(getattr(case, table), **changes)})


def _setting(setting: Setting, value: float, case: Scenario) -> Remedy:
    words = f"{setting.name} = {value:g}" + f" ({setting.option})" * bool(setting.option)
    return Remedy(((f"policy.settings.{setting.name}", f"{value:g}"),), words, case)


def _joined(words: list[str]) -> str:
    """Return the parts of one change as a sentence names them."""
    return words[0] if len(words) == 1 else f"{words[0]} with {' and '.join(words[1:])}"


def _named(words: str, ability: Any) -> str:
    return f"{words} ({ability.option})" if ability.option else words


def _seconds(value_s: float) -> str:
    return f"{value_s:g} s" if value_s >= 1.0 else f"{1000.0 * value_s:g} ms"
