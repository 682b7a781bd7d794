"""One guest on networks that are shared, far, lossy, interrupted or encrypted."""

from __future__ import annotations

from typing import Any, Final

from migkit import viz
from migkit.models.advice.limits import bounds
from migkit.models.goodput import goodput, packed
from migkit.models.predict import predict
from migkit.scenario import Host
from migkit.widgets import controls, words
from migkit.widgets.live import LiveFigure
from migkit.widgets.scenarios.guest_panel import GuestPanel

__all__ = ["NetworkExplorer"]

_LOSSES: Final = [("none", "0"), *((f"1 in {10**n:,}".replace(",", " "), f"1e-{n}") for n in (7, 6, 5, 4, 3))]
_FASTER_BY_STREAMS: Final = ("stream", "encryption", "tcp")
_COUNTS: Final = tuple(str(n) for n in (1, 2, 3, 4, 6, 8, 12, 16))
_OUTAGES: Final = ("0 s", "50 ms", "100 ms", "200 ms", "500 ms", "1 s", "2 s", "5 s", "10 s")
_BEGINS: Final = tuple(
    f"{n} s" for n in (0, 1, 2, 3, 5, 7, 10, 11, 12, 13, 14, 15, 16, 18, 20, 25, 30, 45, 60, 90, 120)
)
_PLAIN: Final = [("plain", "no"), ("encrypted (TLS)", "yes")]


class NetworkExplorer(GuestPanel):
    """A guest, and what lies between its hosts: others on the link, distance, loss, an outage, encryption.

    Parameters
    ----------
    host
        Calibrated constants of the installation.

    Attributes
    ----------
    migrations, round_trip, loss, streams, encryption, outage, begins
        The controls beside those of a guest panel.
    figure
        What remains over time, and what each bitmap sync found left.
    speeds
        How fast each part of the path would be alone.
    result
        The last prediction.

    Examples
    --------
    >>> explorer = NetworkExplorer()
    >>> explorer.encryption.value = "yes"
    >>> explorer.result.limited_by
    'encryption'
    """

    def __init__(self, host: Host | None = None) -> None:
        super().__init__(host)
        self.memory.value, self.working_set.value, self.bandwidth.value = "16 GiB", "1 GiB", "10 Gbit/s"
        self.migrations = controls.slider(
            "migrations", _COUNTS, "1", sentence="How many share the link; each gets an equal part."
        )
        self.round_trip = controls.slider(
            "round trip", controls.ROUND_TRIPS, "0.2 ms", sentence="From one host to the other and back."
        )
        self.loss = controls.choice("lost packets", _LOSSES, "0", sentence="Share of the packets that is lost.")
        self.streams = controls.slider("streams", _COUNTS, "1", sentence="Parallel connections of the migration.")
        self.encryption = controls.choice(
            "encryption", _PLAIN, "no", sentence="Whether the sending host encrypts what it sends."
        )
        self.outage = controls.slider("outage", _OUTAGES, "0 s", sentence="How long the link gives nothing, once.")
        self.begins = controls.slider(
            "outage after", _BEGINS, "5 s", sentence="When the outage begins, since the request."
        )
        self._predict()
        self.figure = LiveFigure(self._draw(), "migkit-network")
        self.speeds = LiveFigure(self._draw_speeds(), "migkit-speeds")
        self.headline.value = words.summary(self.result)
        self._show(self.figure, self.speeds)

    def refresh(self) -> None:
        """Predict what the controls say and show it."""
        self._predict()
        self.figure.follow(self._draw())
        self._at_rest(lambda: self.speeds.follow(self._draw_speeds()))
        self.headline.value = words.summary(self.result)

    def code(self) -> str:
        """Return Python that makes the prediction and its figure anew."""
        return self.drawn_code("overview")

    def tables(self, strategy: str = "precopy") -> dict[str, dict[str, Any]]:
        """Return what the controls say as the tables of a scenario file, without the host."""
        way = {"name": strategy, "streams": int(self.streams.value), "tls": self.encryption.value == "yes"}
        return {**super().tables(strategy), "strategy": way}

    def _link(self) -> dict[str, Any]:
        link = {
            "bandwidth": self.bandwidth.value,
            "migrations": int(self.migrations.value),
            "rtt": self.round_trip.value,
            "loss": float(self.loss.value),
        }
        steps = [[self.begins.value, 1.0], [self.outage.value, 0.0]]
        return link if self.outage.value == _OUTAGES[0] else {**link, "steps": steps}

    def _controls(self) -> list[Any]:
        ours = (self.migrations, self.round_trip, self.loss, self.streams, self.encryption, self.outage, self.begins)
        return [*super()._controls(), *ours]

    def _notes(self) -> None:
        self._limits(self._scenario, self.result)
        no_outage = self.outage.value == _OUTAGES[0]
        self.note(self.begins, "Does not act: there is no outage." if no_outage else "")
        idle = self.result.limited_by not in _FASTER_BY_STREAMS
        self.note(self.streams, "Does not act: one stream is as fast as the path." if idle else "")

    def _predict(self) -> None:
        self._scenario = self.scenario()
        self.result = predict(self._scenario, level=None)

    def _draw(self) -> viz.Figure:
        scenario = self._scenario
        return viz.overview(self.result, limit_bytes=goodput(scenario) * scenario.policy.downtime_limit_s)

    def _draw_speeds(self) -> viz.Figure:
        parts = bounds(self._scenario, packed(self._scenario)[0])
        return viz.speeds({name: float(speed) for name, speed in parts.items()}, self.result.limited_by)
