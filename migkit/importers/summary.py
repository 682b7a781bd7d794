"""What a record says, in words."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from migkit.errors import printable
from migkit.importers.findings import Log
from migkit.importers.glossary import NO_LIMIT
from migkit.importers.meanings import TIMED_OUT
from migkit.importers.reading.numbers import words
from migkit.units import PAGE_BYTES, format_duration, format_rate, format_size

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["facts", "summary"]

_MOST: Final = 12
_WIDTH: Final = 110
_OUTCOMES: Final = {
    "completed": "completed",
    "failed": "failed",
    "cancelled": "was cancelled",
    "under way": "was under way at the last reading",
    TIMED_OUT: "ran into its completion timeout, at which Nova aborts it by default",
    "ended": "was over at the last reading; how it ended is not in the log",
    "not started": "no migration was under way",
    "not said": "has no outcome in the log",
}


def summary(log: Log) -> str:
    """Return the record in words: one fact a line, printable whatever the log held.

    Examples
    --------
    >>> from migkit.importers import read
    >>> text = summary(read('{"status": "completed", "total-time": 5500, "ram": {"remaining": 0}}\\n')[0])
    >>> text.splitlines()[1]
    '  outcome        completed'
    """
    head = f"{log.meta['source']}" + (f", {log.meta['vm']}" if log.meta["vm"] else "")
    lines = [printable(head)]
    for name, text in facts(log):
        lines += textwrap.wrap(printable(text), _WIDTH, initial_indent=f"  {name:<14} ", subsequent_indent=" " * 17)
    return "\n".join(lines)


def facts(log: Log) -> list[tuple[str, str]]:
    """Return the facts of a record as pairs of a word and a sentence.

    Examples
    --------
    >>> from migkit.importers import read
    >>> facts(read('{"status": "completed", "total-time": 5500, "ram": {"remaining": 0}}\\n')[0])[0]
    ('outcome', 'completed')
    """
    told = _rates(log) if log.kind == "dirty-rate" else _migration(log)
    return [(name, text) for name, text in (*told, *_rest(log)) if text]


def _migration(log: Log) -> Iterator[tuple[str, str]]:
    meta, totals, frame = log.meta, log.meta["totals"], log.frame
    yield "outcome", _outcome(log)
    yield "when", _when(meta)
    yield "version", _version(meta["version"])
    yield "time", _time(log)
    yield "memory", _memory(totals, frame)
    yield "sent", _sent(totals)
    yield "done", _done(frame)
    yield (
        "rounds",
        _with(_syncs(totals["iteration"]) if "iteration" in totals else "", meta, "iteration"),
    )
    yield "downtime", _downtime(meta, totals, frame)
    yield "remaining", _remaining(frame, ended=meta["outcome"] == "completed")
    yield "dirtying", _dirtying(frame)
    yield "speed", _speed(totals, meta, frame)
    yield "throttle", _throttle(frame)
    yield "post-copy", _postcopy(totals, meta)
    yield "storage", _storage(frame)


def _outcome(log: Log) -> str:
    text = str(_OUTCOMES.get(log.meta["outcome"], log.meta["outcome"]))
    states = [state for state in dict.fromkeys(log.frame["status"]) if state]
    if log.meta["outcome"] == "completed" and log.meta["postcopy"]:
        text += " after a switch to post-copy"
    if len(states) > 1 or (states and states[-1] not in ("completed", "active")):
        text += f" (states: {', '.join(words(state) for state in states[:_MOST])})"
    reason = log.meta["texts"].get("error-desc") or log.meta["texts"].get("reason")
    return text + (f": {words(reason)}" if reason else "")


def _when(meta: Mapping[str, Any]) -> str:
    if not meta.get("started"):
        return f"not stated; the log's clock is {words(meta['clock'])}" if meta["clock"] else ""
    zone = "UTC" if meta["zone"] == "UTC" else "in the log's own time zone"
    return f"{meta['started']} to {meta['ended']} ({zone})"


def _version(version: Mapping[str, Any] | None) -> str:
    if version is None:
        return ""
    if "qemu" in version:
        return f"QEMU {words(version['qemu'])}"
    parts = []
    if "at_least" in version:
        parts.append(f"{version['at_least']} or later (it reports {version['because']})")
    if "before" in version:
        parts.append(f"before {version['before']} (it reports {version['because_of']})")
    return "QEMU " + " and ".join(parts)


def _time(log: Log) -> str:
    total = log.meta["totals"].get("total_time_s")
    if total is None:
        return ""
    ended = log.meta["outcome"] in ("completed", "failed", "cancelled")
    text = f"{format_duration(total)} in all" if ended else f"{format_duration(total)} so far"
    readings = len(log.frame)
    return f"{text}, {readings} reading{'s' if readings != 1 else ''}" if readings else text


def _memory(totals: Mapping[str, Any], frame: pd.DataFrame) -> str:
    size = totals.get("total_bytes")
    if size is None and "total_bytes" in frame and frame["total_bytes"].notna().any():
        size = frame["total_bytes"].dropna().iloc[-1]
    return format_size(size) if size else ""


def _sent(totals: Mapping[str, Any]) -> str:
    parts = [format_size(totals["sent_bytes"])] if "sent_bytes" in totals else []
    if "normal_pages" in totals:
        parts.append(f"{totals['normal_pages']:,.0f} pages in full")
    if "zero_pages" in totals:
        parts.append(f"{totals['zero_pages']:,.0f} zero pages")
    return ", ".join(parts)


def _done(frame: pd.DataFrame) -> str:
    told = frame["done"].dropna() if "done" in frame else frame["t_s"][:0]
    return f"{told.iloc[-1]:.0%} at the last reading, as the source counts it" if len(told) else ""


def _syncs(count: float) -> str:
    return f"{count:.0f} bitmap sync{'s' if count != 1 else ''}"


def _with(text: str, meta: Mapping[str, Any], name: str) -> str:
    meaning = meta["meanings"].get(name)
    return f"{text} ({meaning})" if text and meaning else text


def _downtime(meta: Mapping[str, Any], totals: Mapping[str, Any], frame: pd.DataFrame) -> str:
    if "downtime_s" in totals:
        return _with(format_duration(totals["downtime_s"]), meta, "downtime_s")
    if "expected_downtime_s" in frame and frame["expected_downtime_s"].notna().any():
        expected = format_duration(frame["expected_downtime_s"].dropna().iloc[-1])
        return _with(f"not said; {expected} expected at the last reading", meta, "expected_downtime_s")
    return ""


def _remaining(frame: pd.DataFrame, ended: bool) -> str:
    told = frame.loc[frame["phase"] != "done"].dropna(subset=["remaining_bytes"])
    if told.empty:
        return ""
    last, least = told["remaining_bytes"].iloc[-1], told["remaining_bytes"].min()
    text = f"{format_size(last)} at the last reading{' before the end' if ended else ''}"
    if ended or len(told) == 1 or math.isnan(told["t_s"].iloc[-1]):
        return text
    at = float(told["t_s"].iloc[int(told["remaining_bytes"].argmin())])
    if least < last:
        text += (
            f"; it was lowest at {format_duration(at)} with {format_size(least)}, and has not fallen below that since"
        )
    return text


def _dirtying(frame: pd.DataFrame) -> str:
    told = frame["dirtied_pages_per_s"].dropna()
    told = told[told > 0]
    if told.empty:
        return ""
    pages = frame["page_bytes"].dropna() if "page_bytes" in frame else told.iloc[:0]
    rates = told * (float(pages.iloc[-1]) if len(pages) else PAGE_BYTES)
    text = f"{format_size(rates.iloc[-1])}/s at the last sync"
    if len(told) > 1 and rates.max() > rates.min():
        text += f" ({format_size(rates.min())}/s to {format_size(rates.max())}/s)"
    sent = frame["bandwidth_bytes_per_s"].dropna()
    if len(sent) and rates.iloc[-1] > sent.iloc[-1] > 0:
        text += ": faster than it is sent"
    return text


def _speed(totals: Mapping[str, Any], meta: Mapping[str, Any], frame: pd.DataFrame) -> str:
    told = frame["bandwidth_bytes_per_s"].dropna()
    told = told[told > 0]
    parts = [f"{format_rate(told.median())} (median of the readings)"] if len(told) else []
    if "average_bytes_per_s" in totals:
        said = f"{format_rate(totals['average_bytes_per_s'])} said as the average"
        parts.append(_with(said, meta, "average_bytes_per_s"))
    return "; ".join(parts)


def _throttle(frame: pd.DataFrame) -> str:
    most = frame["throttle"].max()
    return f"up to {most * 100:.0f} % of the processors' time (auto-converge)" if most > 0 else ""


def _postcopy(totals: Mapping[str, Any], meta: Mapping[str, Any]) -> str:
    parts = [f"{totals['postcopy_faults']:,.0f} pages asked for"] if totals.get("postcopy_faults") else []
    if "postcopy_latency_s" in totals:
        parts.append(f"{format_duration(totals['postcopy_latency_s'])} to serve one on average")
    if "postcopy_blocktime_s" in totals and not isinstance(totals["postcopy_blocktime_s"], list):
        parts.append(f"all processors blocked for {format_duration(totals['postcopy_blocktime_s'])}")
    return ", ".join(parts) or ("under way at a reading" if meta["postcopy"] else "")


def _storage(frame: pd.DataFrame) -> str:
    if "disk_total_bytes" not in frame or not (frame["disk_total_bytes"] > 0).any():
        return ""
    text = f"{format_size(frame['disk_total_bytes'].dropna().iloc[-1])} of disks"
    if "disk_remaining_bytes" in frame and frame["disk_remaining_bytes"].notna().any():
        text += f", {format_size(frame['disk_remaining_bytes'].dropna().iloc[-1])} of it to send"
    return text


def _rates(log: Log) -> Iterator[tuple[str, str]]:
    whole = log.frame[log.frame["vcpu"] == -1]
    for _, row in whole.head(_MOST).iterrows():
        rate = row["dirtied_bytes_per_s"]
        text = f"{format_size(rate)}/s" if not math.isnan(rate) else "no rate yet"
        window = f" over {format_duration(row['window_s'])}" if not math.isnan(row["window_s"]) else ""
        yield "dirty rate", f"{text}{window}" + (f" ({words(row['mode'])})" if row["mode"] else "")
    vcpus = log.frame.loc[log.frame["vcpu"] >= 0, "dirtied_bytes_per_s"]
    if len(vcpus):
        yield "processors", f"{len(vcpus)} readings, up to {format_size(vcpus.max())}/s"
    yield "it means", log.meta["meanings"]["dirtied_bytes_per_s"]


def _rest(log: Log) -> Iterator[tuple[str, str]]:
    meta = log.meta
    shown = list(meta["settings"].items())[:_MOST]
    yield "settings", ", ".join(f"{_without_unit(name)} {_setting(name, value)}" for name, value in shown)
    enabled = [name for name, value in meta["capabilities"].items() if value]
    yield "capabilities", ", ".join(enabled[:_MOST]) if enabled else ("none on" if meta["capabilities"] else "")
    for event in meta["events"][:_MOST]:
        yield "event", f"line {event['line']}: {words(event['what'])}"
    if len(meta["events"]) > _MOST:
        yield "event", f"... and {len(meta['events']) - _MOST} more"
    yield "unknown", ", ".join(f"{name} = {value}" for name, value in list(log.unknown.items())[:_MOST])
    if len(log.unknown) > _MOST:
        yield "unknown", f"... and {len(log.unknown) - _MOST} more, all in the record"
    for note in meta["notes"]:
        yield "note", note
    yield "skipped", _skipped(meta)
    for sentence in log.cannot_tell:
        yield "cannot tell", sentence
    for sentence in log.next_time:
        yield "next time", sentence


def _without_unit(name: str) -> str:
    """Return the name of a setting without the unit of its record, since its value is said in another.

    Examples
    --------
    >>> _without_unit("max_bandwidth_bytes_per_s"), _without_unit("downtime_limit_s"), _without_unit("cpu_throttle")
    ('max_bandwidth', 'downtime_limit', 'cpu_throttle')
    """
    unit = next((unit for unit in ("_bytes_per_s", "_bytes", "_s") if name.endswith(unit)), "")
    return name if name.endswith("_per_s") and unit == "_s" else name.removesuffix(unit)


def _setting(name: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return words(value)
    if value >= NO_LIMIT:
        return "without limit"
    if name.endswith("_s") and not name.endswith("_per_s"):
        return format_duration(value)
    if name.endswith("_bytes"):
        return format_size(value)
    return format_rate(value) if name.endswith("_bytes_per_s") else f"{value:g}"


def _skipped(meta: Mapping[str, Any]) -> str:
    count = meta.get("skipped_lines", 0)
    if not count:
        return ""
    shown = "; ".join(f"line {first}" for first in meta["skipped_first"][:3])
    return f"{count} line{'s are' if count > 1 else ' is'} of something else, e.g. {shown}"
