"""What a model says of one migration."""

from __future__ import annotations

import bisect
import dataclasses
import importlib
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from migkit.models import story

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

__all__ = ["SCHEMA_VERSION", "Interval", "Point", "Prediction", "Round"]

SCHEMA_VERSION: Final = 1


class Round(NamedTuple):
    """One pass between bitmap syncs; the last one is the final copy. Page counts are expectations."""

    iteration: int
    start_s: float  # of the sync, since the request
    duration_s: float  # to the next sync or to the end
    sync_s: float
    marked_pages: float  # that the sync marked
    remaining_bytes: float  # page bytes to send directly after the sync
    normal_pages: float  # sent within the round
    zero_pages: float
    sent_bytes: float
    throttle: float  # share of its time for which the guest slept


class Point(NamedTuple):
    """One point of the time line."""

    t_s: float  # since the request
    remaining_bytes: float
    sent_bytes: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Between which bounds a result lies at ``level``.

    Attributes
    ----------
    level
        Probability that a run lies within.
    total_time_s, downtime_s, transferred_bytes
        ``(low, high)``; downtime is that of the runs which converge.
    converges
        Probability that a run converges.
    total_time_draws_s
        Total times that were drawn, in ascending order, moved as the bounds are [s]; infinite where a run does not
        converge.
    correction
        How the bounds were corrected by residuals of real runs, in words.
    drawn
        The bounds before that correction.
    """

    level: float
    total_time_s: tuple[float, float]
    downtime_s: tuple[float, float]
    transferred_bytes: tuple[float, float]
    converges: float = 1.0
    total_time_draws_s: tuple[float, ...] = dataclasses.field(default=(), repr=False)
    correction: str = ""
    drawn: Interval | None = dataclasses.field(default=None, repr=False)

    def done_by(self, deadline_s: float) -> float:
        """Return the probability that the migration has ended well by a time since the request [s].

        Examples
        --------
        >>> from migkit import Guest, predict
        >>> told = predict(guest=Guest(memory_bytes=2**28)).interval
        >>> told.done_by(0.1), told.done_by(60.0)
        (0.0, 1.0)
        """
        draws = self.total_time_draws_s
        return bisect.bisect_right(draws, deadline_s) / len(draws) if draws else math.nan


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Prediction:
    """Frozen result of :func:`migkit.models.predict.predict`.

    Attributes
    ----------
    verdict
        ``converges``, ``does_not_converge``, ``aborted`` or ``timed_out``. What the engine cannot decide within its
        bound on work, or within 10^12 s, times out where it has a time limit and else does not converge; then the
        first of the reasons says "not decided" or "still under way".
    reason
        Why, in one word: ``within_limit`` (the rest was within the downtime limit), ``forced`` (a manager forces the
        end), ``by_passes``, ``stopcopy``, ``postcopy``, ``settled`` (rounds are alike above the limit),
        ``undecided``, ``time_limit``, ``policy_gave_up`` or ``not_admitted``.
    limited_by
        What limits the speed: ``cap``, ``link``, ``stream`` (the sending host's), ``encryption``, ``tcp``, ``cores``,
        ``receiver``, ``processor`` (it prepares pages), or ``guest``, where nothing does.
    remedies
        What would make it converge, each as a scenario file writes it, the least intrusive first; each was predicted.
        None where it converges, without ``detail``, or where nothing was found.
    reasons
        Why, in words, with numbers and what would change it.
    total_time_s
        Request to source released [s]; infinite when it never ends.
    downtime_s
        Guest stopped to guest running [s]; 0 when it never stops.
    transferred_bytes
        Bytes on the wire; infinite when it never ends.
    iterations
        Bitmap syncs, the first one included.
    remaining_at_switchover_bytes
        Page bytes left by the last sync before the stop [B].
    downtime_limit_s
        The limit in force at the end [s]; None where the rule has none.
    natural_downtime_s
        Where pre-copy settles on this link: the fixed point of ``v = page U(v/B)`` divided by B [s].
    guest_slowdown
        Share of its progress that the guest lost between request and end: throttling, write faults of
        tracking, stalls of post-copy; downtime is apart.
    postcopy_faults
        Demand faults.
    blocktime_s
        Time for which the guest waited for demanded pages [s].
    degraded_s
        Time from the request to the end in which the guest ran throttled or without all of its memory [s].
    exposure_s
        Time in which a failure of either host loses the guest: the push of post-copy [s].
    risk
        Probability of losing it: exposure times ``host.failures_per_h``.
    rounds
        One row a bitmap sync.
    timeline
        What remained and was sent, at the moments that matter.
    interval
        Bounds at a level of probability; None when it was not asked for.
    downtime_parts
        What the downtime is the sum of, by name [s].
    hosts
        Whether the constants of the hosts are calibrated, or which platform's typical ones stand in.
    """

    verdict: str
    reason: str
    limited_by: str
    reasons: tuple[str, ...]
    total_time_s: float
    downtime_s: float
    transferred_bytes: float
    iterations: int
    remaining_at_switchover_bytes: float
    downtime_limit_s: float | None
    natural_downtime_s: float
    guest_slowdown: float
    postcopy_faults: float
    blocktime_s: float
    degraded_s: float
    exposure_s: float
    risk: float
    rounds: tuple[Round, ...]
    timeline: tuple[Point, ...]
    remedies: tuple[str, ...] = ()
    interval: Interval | None = None
    downtime_parts: tuple[tuple[str, float], ...] = ()
    hosts: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; what is infinite is None.

        Examples
        --------
        >>> from migkit import Guest, predict
        >>> predict(guest=Guest(memory_bytes=2**28)).to_dict()["verdict"]
        'converges'
        """
        from migkit import __version__

        record = {"schema_version": SCHEMA_VERSION, "migkit_version": __version__}
        record |= {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}
        return record

    def to_frame(self) -> pd.DataFrame:
        """Return the rounds as a table, one row a bitmap sync."""
        import pandas as pd

        return pd.DataFrame(list(self.rounds), columns=list(Round._fields))

    def plot(self) -> Figure:
        """Return a figure of what remains over time, drawn by :mod:`migkit.viz`."""
        figure: Figure = importlib.import_module("migkit.viz").prediction(self)
        return figure

    def __repr__(self) -> str:
        return story.line(self)

    def __str__(self) -> str:
        return story.text(self)

    def _repr_html_(self) -> str:
        return story.page(self)


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Round | Point):
        return {name: _plain(item) for name, item in value._asdict().items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value) if f.repr}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
