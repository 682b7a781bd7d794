"""What a model says of one migration."""

from __future__ import annotations

import dataclasses

__all__ = ["Prediction"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Frozen result of :func:`migkit.models.predict.predict`.

    Attributes
    ----------
    verdict
        ``converges``, ``does_not_converge``, ``aborted`` or ``timed_out``.
    reasons
        Why, in words, with numbers and what would change it.
    total_time_s, downtime_s
        Request to source released; guest stopped to guest running [s].
    transferred_bytes
        Bytes on the wire.
    iterations
        Bitmap syncs, the first one included.
    remaining_at_switchover_bytes
        Page bytes left by the last sync before the stop [B].
    natural_downtime_s
        Where pre-copy settles on this link: the fixed point of ``v = page U(v/B)`` divided by B [s].
    """

    verdict: str
    reasons: tuple[str, ...]
    total_time_s: float
    downtime_s: float
    transferred_bytes: float
    iterations: int
    remaining_at_switchover_bytes: float
    natural_downtime_s: float
