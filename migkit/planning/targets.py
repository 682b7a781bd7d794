"""What a planner wants of a migration: it converges, and each stated quantity stays within its limit."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Final

from migkit import jit
from migkit.errors import UsageError
from migkit.models.bulk.several import Outcome
from migkit.models.predict import predict
from migkit.models.result import Prediction
from migkit.scenario import Scenario
from migkit.units import format_cost, format_duration, format_size

__all__ = ["Targets"]

_SHOWN: Final[dict[str, tuple[str, Callable[[float], str]]]] = {
    "downtime_s": ("downtime", lambda time_s: _time(time_s)),
    "total_time_s": ("total time", lambda time_s: _time(time_s)),
    "transferred_bytes": ("sent", format_size),
    "guest_slowdown": ("guest slowdown", lambda share: f"{100 * share:.3g} %"),
}
_UNCERTAIN: Final = ("downtime_s", "total_time_s", "transferred_bytes")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Limits that a migration must keep. It must converge, too.

    Attributes
    ----------
    downtime_s, total_time_s
        Longest downtime and total migration time [s]; infinite: any.
    transferred_bytes
        Most bytes on the wire [B].
    guest_slowdown
        Largest share of its progress that the guest may lose, 0 to 1.
    probability
        Probability with which the limits on downtime, total time and bytes are kept, above 0.5 and below 1: the upper
        bound of the prediction's interval counts, at the level ``2 p - 1``. None: the prediction itself counts.

    Examples
    --------
    >>> from migkit import Guest, Scenario
    >>> targets = Targets(total_time_s=5.0)
    >>> targets.missed(targets.predict(Scenario(guest=Guest(memory_bytes=2**30))))
    ('total time 7.78 s, above 5 s',)
    """

    downtime_s: float = math.inf
    total_time_s: float = math.inf
    transferred_bytes: float = math.inf
    guest_slowdown: float = math.inf
    probability: float | None = None

    def __post_init__(self) -> None:
        for name, (words, show) in _SHOWN.items():
            limit = getattr(self, name)
            if not limit > 0.0:
                raise UsageError(f"size: a limit of {show(limit)} on {words} cannot be kept; it must be above 0")
        if self.guest_slowdown > 1.0 and math.isfinite(self.guest_slowdown):
            raise UsageError(f"size: a guest slowdown of {self.guest_slowdown:g} is no share; it must be at most 1")
        if self.probability is not None and not 0.5 < self.probability < 1.0:
            raise UsageError(
                f"size: a probability of {self.probability:g} is out of range; it must be above 0.5 and below 1"
            )

    def predict(self, case: Scenario) -> Prediction:
        """Return the prediction that the limits are compared with, one of many in the search for what keeps them."""
        if self.probability is not None:
            jit.compile_kernels()  # each of them is drawn dozens of times
        level = None if self.probability is None else 2.0 * self.probability - 1.0
        return predict(case, level=level, detail=False)

    def missed(self, result: Prediction | Outcome) -> tuple[str, ...]:
        """Return what a prediction misses, in words; nothing where it keeps every limit.

        Parameters
        ----------
        result
            Of :meth:`predict`; or its outcome, where no probability is asked for.
        """
        if result.verdict != "converges":
            return (_WITHOUT_END[result.verdict],)
        return tuple(
            _above(words, show(value) if math.isfinite(value) else "without end", show(getattr(self, name)))
            for name, (words, show) in _SHOWN.items()
            if (value := _counted(result, name)) > getattr(self, name)
        )

    def failure(self, result: Prediction) -> str:
        """Return what a prediction misses and why, as the end of a sentence; empty where it keeps every limit."""
        missed, reason = self.missed(result), result.reasons[0].removesuffix(".")
        if missed and reason.startswith(missed[0].removeprefix("it ")):
            return f"it {reason}"
        return "; ".join((*missed, reason)) if missed else ""

    def words(self) -> str:
        """Return the limits as a person says them."""
        limits = [
            f"{words} at most {show(getattr(self, name))}"
            for name, (words, show) in _SHOWN.items()
            if math.isfinite(getattr(self, name))
        ]
        sure = "" if self.probability is None else f", with a probability of {100 * self.probability:g} %"
        return ", ".join(["it converges", *limits]) + sure


_WITHOUT_END: Final = {
    "does_not_converge": "it does not converge",
    "aborted": "the policy aborts it",
    "timed_out": "it reaches its time limit",
}


def _time(time_s: float) -> str:
    """Return a time; one below a microsecond is written out, since "above below 1 us" says nothing."""
    return format_cost(time_s) if 0.0 < time_s < 1e-6 else format_duration(time_s)


def _above(words: str, value: str, limit: str) -> str:
    return f"{words} just above {limit}" if value == limit else f"{words} {value}, above {limit}"


def _counted(result: Prediction | Outcome, name: str) -> float:
    """Return the value that counts: the upper bound of the interval where there is one."""
    if isinstance(result, Prediction) and result.interval is not None and name in _UNCERTAIN:
        return float(getattr(result.interval, name)[1])
    return float(getattr(result, name))
