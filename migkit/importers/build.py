"""The record of a migration: its frame, its totals, what they mean in that version, and what the log cannot tell."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np

from migkit.importers import gaps
from migkit.importers.assemble import Migration
from migkit.importers.findings import Log, Rate
from migkit.importers.glossary import COLUMNS, TOTALS
from migkit.importers.meanings import BEFORE, MEANINGS, OUTCOMES, PHASES, SINCE, SOURCES, TIMED_OUT
from migkit.importers.reading.parameters import SETTINGS
from migkit.importers.reading.stamps import UNIX
from migkit.importers.series import clock_of, columns_of, framed, rate_frame, rows_of
from migkit.units import format_duration

__all__ = ["migration_log", "rate_log"]

_MOST_EVENTS: Final = 200
_SECONDS: Final = re.compile(r"\b(?:after|for) (\d{1,9}) sec\b")
_COUNTED_ON: Final = "counted_to_the_end_s"
_LONG_S: Final = 0.1  # a push of at least this: a pause may be as long as a shorter one
_PUSHED: Final = 0.9  # of what was sent: a migration that was a push, so to speak; of its time: no pause
_SLACK_S: Final = 60.0  # between the clocks of a count and of a log
_PASS: Final = re.compile(r"pass (\d{1,6})")
_RECKONED: Final = frozenset(name.ours for name in SETTINGS.values())
_ONCE: Final = ("request_s", "end_s", "succeeded", "failed", "mended_rates")


def migration_log(migration: Migration, about: Mapping[str, Any]) -> Log:
    """Return the record of ``migration``; ``about`` says of the file: its form, encoding, lines and notes."""
    pieces = [*migration.samples, *migration.settings, *migration.events, *migration.afterwards]
    clock = clock_of([piece.stamp for piece in pieces])
    rows = rows_of(migration, clock)
    columns = columns_of(rows)
    frame = framed(columns)
    version = _version(migration)
    totals = _counted(migration, clock) | _totals(migration, rows)
    if _is_no_pause(migration, rows, totals):
        totals[_COUNTED_ON] = totals.pop("downtime_s")
    meta = {
        **about,
        "source": SOURCES[migration.family],
        "family": migration.family,
        "vm": migration.vm or None,
        "version": version,
        "outcome": _outcome(migration, totals),
        "postcopy": any(row["phase"] == "postcopy" for row in rows),
        "totals": {name: value for name, value in totals.items() if name not in _ONCE},
        "settings": _settings(migration),
        "capabilities": {
            s.name.removeprefix("capability "): s.value
            for s in migration.settings
            if s.name.startswith("capability ")
        },
        "events": _events(migration, clock),
        "texts": {key: said for sample in migration.samples for key, said in sample.texts.items()},
        "clock": clock,
        **_span(columns, clock, pieces),
        "resolution_bytes": _resolution(migration),
        "repeated_readings": migration.repeated,
        "notes": [*about["notes"], *_notes(migration, totals), *_early(migration, clock)],
    }
    meta["meanings"] = _meanings(meta, version, {*meta["totals"], *columns})
    return Log(
        kind="migration",
        frame=frame,
        meta=meta,
        unknown=_unknown(migration),
        cannot_tell=gaps.cannot_tell(columns, meta),
        next_time=gaps.next_time(columns, meta),
    )


def rate_log(rates: Sequence[Rate], about: Mapping[str, Any]) -> Log:
    """Return the record of the readings of a dirty rate of one machine."""
    clock = clock_of([rate.stamp for rate in rates])
    frame = rate_frame(rates, clock)
    meta = {
        **about,
        "source": SOURCES["dirty-rate"],
        "family": "dirty-rate",
        "vm": rates[0].vm or None,
        "version": None,
        "outcome": "not said",
        "totals": {},
        "settings": {},
        "capabilities": {},
        "events": [],
        "texts": {},
        "clock": clock,
        "meanings": {"dirtied_bytes_per_s": gaps.RATE_MEANING},
        "notes": list(about["notes"]),
    }
    return Log(
        kind="dirty-rate",
        frame=frame,
        meta=meta,
        unknown={name: value for rate in rates for name, value in rate.unknown.items()},
        cannot_tell=gaps.rate_cannot_tell(frame),
        next_time=gaps.rate_next_time(frame),
    )


def _settings(migration: Migration) -> dict[str, Any]:
    """Return the settings, those that migkit reckons with first."""
    kept = {s.name: s.value for s in migration.settings if not s.name.startswith(("capability ", "version"))}
    return dict(sorted(kept.items(), key=lambda pair: pair[0] not in _RECKONED))


def _outcome(migration: Migration, totals: Mapping[str, Any]) -> str:
    states = [sample.status for sample in migration.samples if sample.status]
    over = states[-1:] == ["none"] and len(set(states)) > 1
    states += [event.status for event in migration.events if event.status and event.status in OUTCOMES]
    ended = [OUTCOMES[state] for state in states if state in OUTCOMES]
    if ended:
        return ended[-1]
    if totals.get("succeeded") or totals.get("failed"):
        return "completed" if totals.get("succeeded") else "failed"
    if states and set(states) == {"none"}:
        return "not started"
    if over:
        return "ended"
    last = migration.samples[-1].line if migration.samples else 0
    if any(event.status == TIMED_OUT and event.line > last for event in migration.events):
        return TIMED_OUT
    begun = any(PHASES.get(state, "other") not in ("setup",) for state in states)
    return "under way" if begun or migration.samples else "not said"


def _totals(migration: Migration, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the last value of each total, and of what has no column; the length of the run from its last row."""
    found: dict[str, Any] = {}
    for sample in (*migration.samples, *migration.afterwards):
        found |= {name: value for name, value in sample.values.items() if name in TOTALS or _apart(name, value)}
    times = [row["t_s"] for row in rows if row.get("t_s") is not None]
    ends = [row["t_s"] for row in rows if row.get("t_s") is not None and row["phase"] == "done"]
    found.pop("t_s", None)
    found.pop("logged_s", None)
    if times:
        found["total_time_s"] = ends[0] if ends and "t_s" not in migration.samples[-1].values else times[-1]
    return {name: _plain(value) for name, value in found.items()}


def _counted(migration: Migration, clock: str | None) -> dict[str, Any]:
    """Return what events tell where nothing counts: the time from the first state or request to the end, passes."""
    passes = [int(match[1]) for event in migration.events if (match := _PASS.fullmatch(event.what))]
    found: dict[str, Any] = {"iteration": max(passes)} if passes else {}
    stamped = [e for e in migration.events if e.stamp is not None and e.stamp.clock == clock]
    begun = [e.stamp.seconds for e in stamped if e.stamp and (e.begins or PHASES.get(e.status or "") == "setup")]
    ended = [e.stamp.seconds for e in stamped if e.stamp and e.status in OUTCOMES]
    if begun and ended and ended[-1] >= begun[0]:
        found["total_time_s"] = ended[-1] - begun[0]
    return found


def _is_no_pause(migration: Migration, rows: Sequence[Mapping[str, Any]], totals: Mapping[str, Any]) -> bool:
    """Return whether what QEMU calls the downtime of a post-copy is as long as all of its push, or longer than all.

    Where the pause rounds to 0 ms, QEMU takes it for not counted yet, and counts at the end of the migration: since
    the guest stopped, or, with QEMU 7.2, since the host booted (migration/migration.c: ``if (!s->downtime)``).
    """
    if migration.family not in ("qmp", "hmp", "guestperf") or not rows or rows[-1]["phase"] != "done":
        return False
    downtime_s, total_s = totals.get("downtime_s", 0.0), totals.get("total_time_s", math.nan)
    pushed = [row["t_s"] for row in rows if row["phase"] == "postcopy" and row.get("t_s") is not None]
    if pushed:
        return bool(downtime_s >= total_s - pushed[0] > _LONG_S)
    share = (rows[-1].get("postcopy_bytes") or 0.0) / (rows[-1].get("sent_bytes") or math.inf)
    as_long = share > _PUSHED and downtime_s > _PUSHED * total_s > _LONG_S
    return bool(downtime_s > total_s or as_long)


def _apart(name: str, value: Any) -> bool:
    """Return whether a value has no column and says something: QEMU fills most counters of disks with 0."""
    return name not in COLUMNS and not (name.startswith("disk_") and not value)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def _unknown(migration: Migration) -> dict[str, Any]:
    samples = (*migration.samples, *migration.afterwards)
    found: dict[str, Any] = {name: value for sample in samples for name, value in sample.unknown.items()}
    said = [*(sample.status for sample in samples), *(event.status for event in migration.events)]
    states = [state for state in said if state and state not in PHASES]
    strange = sorted({state for state in states if state not in ("bounded",)})
    return found | ({"status": ", ".join(strange)} if strange else {})


def _resolution(migration: Migration) -> dict[str, float]:
    found: dict[str, float] = {}
    for sample in migration.samples:
        for name, step in sample.resolution.items():
            found[name] = max(step, found.get(name, 0.0))
    return found


def _events(migration: Migration, clock: str | None) -> list[dict[str, Any]]:
    told = []
    for event in sorted(migration.events, key=lambda event: event.line)[:_MOST_EVENTS]:
        what = f"state {event.status}" if event.what == "state" else event.what
        on_clock = event.stamp is not None and event.stamp.clock == clock
        told.append(
            {"line": event.line, "what": what, "logged_s": event.stamp.seconds if event.stamp and on_clock else None}
        )
    return told


def _span(columns: gaps.Columns, clock: str | None, pieces: Sequence[Any]) -> dict[str, Any]:
    """Return when the migration began and ended by the log's clock, as ISO 8601 where that is Unix time."""
    stamps = [p.stamp for p in pieces if p.stamp is not None and p.stamp.clock == clock]
    if clock != UNIX or not stamps:
        return {"started": None, "ended": None, "zone": None}
    logged = columns.get("logged_s", columns["t_s"][:0])
    begun = logged - columns["t_s"][: logged.size]
    begun, logged = begun[~np.isnan(begun)], logged[~np.isnan(logged)]
    first = float(begun.min()) if begun.size else min(s.seconds for s in stamps)
    last = float(logged.max()) if logged.size else max(s.seconds for s in stamps)
    zone = "UTC" if all(s.zoned for s in stamps) else "not stated"
    return {"started": _iso(first), "ended": _iso(last), "zone": zone}


def _iso(seconds: float) -> str | None:
    try:
        return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return None


def _version(migration: Migration) -> dict[str, Any] | None:
    """Return what is known of QEMU's version: as said, or bounds from fields and states that came and went."""
    if migration.family not in ("qmp", "hmp"):
        return None
    said = [s.value for s in migration.settings if s.name == "version"]
    if said:
        return {"qemu": said[-1]}
    marks = {mark for sample in (*migration.samples, *migration.afterwards) for mark in sample.marks}
    since = max(((SINCE[mark], mark) for mark in marks if mark in SINCE), default=None)
    before = min(((BEFORE[mark], mark) for mark in marks if mark in BEFORE), default=None)
    told: dict[str, Any] = {}
    if since is not None:
        told |= {"at_least": ".".join(map(str, since[0])), "because": since[1]}
    if before is not None:
        told |= {"before": ".".join(map(str, before[0])), "because_of": before[1]}
    return told or None


def _meanings(meta: Mapping[str, Any], version: Mapping[str, Any] | None, said: Collection[str]) -> dict[str, str]:
    least = (version or {}).get("qemu") or (version or {}).get("at_least") or "0.0"
    known = tuple(int(part) if part.isdigit() else 0 for part in str(least).split(".")[:2])
    found: dict[str, str] = {}
    for name, rows in MEANINGS.items():
        column, _, case = name.partition(":")
        if column not in said or (case == "postcopy" and not meta["postcopy"]):
            continue
        fits = [
            words for families, since, before, words in rows if _fits(meta["family"], families, known, since, before)
        ]
        if fits:
            found[column] = fits[0]
    return found


def _fits(
    family: str, families: str, known: tuple[int, ...], since: tuple[int, int], before: tuple[int, int]
) -> bool:
    return family in families.split() and since <= (*known, 0)[:2] < before


def _notes(migration: Migration, totals: Mapping[str, Any]) -> list[str]:
    notes = []
    if migration.repeated:
        notes.append(f"{migration.repeated} readings only repeat the one before them: left out")
    if _COUNTED_ON in totals:
        notes.append(
            f"QEMU counts {format_duration(totals[_COUNTED_ON])} of downtime, as long as all of the push or longer: "
            "it does so where the pause rounds to 0 ms"
        )
    if "mended_rates" in totals:
        notes.append("this KubeVirt wrote its rates 64 times too low (bytes over 8 as Mbps): set right here")
    if migration.afterwards:
        several = "s" * (len(migration.afterwards) > 1)
        notes.append(
            f"{len(migration.afterwards)} answer{several} without counters after the end: another side or another "
            "look (the destination answers so)"
        )
    return notes


def _early(migration: Migration, clock: str | None) -> list[str]:
    """Say which lines count more seconds than had passed by their stamps since the migration began."""
    counted = [
        s.stamp.seconds - s.values["t_s"]
        for s in migration.samples
        if s.stamp is not None and s.stamp.clock == clock and "t_s" in s.values
    ]
    notes = []
    for event in migration.events:
        said = _SECONDS.search(event.what)
        if not said or not counted or event.stamp is None or event.stamp.clock != clock:
            continue
        passed_s = event.stamp.seconds - min(counted)
        if float(said[1]) > passed_s + _SLACK_S:
            notes.append(
                f"line {event.line} counts {said[1]} s, but by its stamp the migration had run for "
                f"{format_duration(passed_s)}: they contradict each other, or the line is of another migration"
            )
    return notes
