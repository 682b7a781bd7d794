"""The same counters in other encodings, layouts and envelopes; what is no log; records kept as files."""

import gzip
import json
import time
from pathlib import Path

import pytest

from migkit.errors import TraceError
from migkit.importers import read, read_reference, write
from migkit.importers.summary import summary
from migkit.traces import data, io

MORE = Path(__file__).parent / "data" / "more"
MIB, GIB = 2**20, 2**30


def answer(time_ms, status="active", **ram):
    counters = {"remaining": 10**6, "transferred": 10**5, "dirty-sync-count": 1, "mbps": 800.0} | ram
    return {"status": status, "total-time": time_ms, "ram": counters}


def lines(*answers):
    return "\n".join(json.dumps(a) for a in answers) + "\n"


def test_machines_of_unlike_memory_are_kept_apart_without_names():
    text = lines(*(answer(100 * i, total=total) for i in range(1, 4) for total in (GIB, 2 * GIB)))
    assert [log.frame["t_s"].tolist() for log in read(text)] == [[0.1, 0.2, 0.3]] * 2


@pytest.mark.parametrize("key", ["name", "vm", "domain", "vm_name"])
def test_machines_that_an_envelope_names_are_kept_apart(key):
    text = lines(*({key: vm, "stats": answer(100 * i)} for i in range(1, 4) for vm in ("a", "b")))
    assert [(log.meta["vm"], len(log.frame)) for log in read(text)] == [("a", 3), ("b", 3)]


def test_a_finished_migration_that_is_polled_on_stays_one():
    (log,) = read(lines(answer(100), *[answer(500, "completed")] * 3))
    assert log.frame["t_s"].tolist() == [0.1, 0.5]
    assert log.meta["repeated_readings"] == 2


@pytest.mark.parametrize(("downtime_ms", "is_pause"), [(4, True), (750, True), (1301, False), (8543409, False)])
def test_a_pause_of_post_copy_that_rounds_to_nothing_is_no_long_one(downtime_ms, is_pause):
    """Of QEMU 7.2 and 10.0, whose guests stood for 3 ms; and two that may have stood for as long as is said."""
    push = [answer(time_ms, "postcopy-active") for time_ms in (700, 1300)]
    (log,) = read(lines(answer(600), *push, answer(2000, "completed") | {"downtime": downtime_ms}))
    assert log.meta["totals"].get("downtime_s") == (downtime_ms / 1000 if is_pause else None)
    assert any("the pause rounds to 0 ms" in note for note in log.meta["notes"]) != is_pause
    assert log.meta["totals"].get("counted_to_the_end_s") == (None if is_pause else downtime_ms / 1000)


@pytest.mark.parametrize(
    ("downtime_ms", "pushed", "is_pause"),
    [(1900, 0.99, False), (750, 0.99, True), (1900, 0.6, True), (1900, 0.0, True), (8543409, 0.0, False)],
)
def test_the_end_alone_tells_a_pause_from_a_push(downtime_ms, pushed, is_pause):
    end = answer(2000, "completed", **{"transferred": 10**6, "postcopy-bytes": int(pushed * 10**6)})
    (log,) = read(lines(end | {"downtime": downtime_ms}))
    assert log.meta["totals"].get("downtime_s") == (downtime_ms / 1000 if is_pause else None)


@pytest.mark.parametrize("field", ["total-time", "setup-time", "downtime"])
def test_several_numbers_are_no_number(field):
    (log,) = read(lines(answer(100), answer(200) | {field: [1, 1.5]}, answer(300)))
    assert log.unknown == {field: "[1, 1.5] (no usable number)"}
    assert log.frame["t_s"].dropna().iloc[-1] == 0.3


@pytest.mark.parametrize(
    "wrap",
    [
        lambda raw: b"\xef\xbb\xbf" + raw,
        lambda raw: raw.decode().encode("utf-16"),
        lambda raw: raw.decode().encode("utf-16-be"),
        gzip.compress,
        lambda raw: gzip.compress(raw[:40]) + gzip.compress(raw[40:]),
        lambda raw: raw.replace(b"\n", b"\r\n"),
        lambda raw: b"[" + raw.strip().replace(b"\n", b",") + b"]",
        lambda raw: json.dumps({"a": {"b": [json.loads(line) for line in raw.splitlines()]}}, indent=1).encode(),
        lambda raw: b"\n".join(repr(json.loads(line)).encode() for line in raw.splitlines()),
        lambda raw: b"\n".join(b"2024-05-01T10:00:00Z host a[1]: " + line for line in raw.splitlines()),
    ],
)
def test_wrapping_changes_nothing(wrap):
    raw = lines(answer(100, normal=5), answer(200, normal=9, **{"mbps": 900.25})).encode()
    plain, wrapped = read(raw)[0].frame, read(wrap(raw))[0].frame
    assert plain.equals(wrapped.drop(columns="logged_s", errors="ignore"))


def test_a_cut_gzip_gives_what_it_still_holds():
    raw = lines(*(answer(100 * i, remaining=i * 7919) for i in range(400))).encode()
    (log,) = read(gzip.compress(raw)[:-200])
    assert 10 < len(log.frame) < 400
    assert "end too early" in " ".join(log.meta["notes"])


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "it is empty"),
        (b"hello\nworld", 'it begins "hello"'),
        (b"BZh91AY", "packed with bzip2"),
        (b"\x40\x59\x10\x55abc", "crit decode"),
        (b"\x00\x01\x02binary", "binary data"),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xff\xff\xff", "broken gzip"),
        (b"PAR1 no PAR1", "not a trace"),
        (b'{"status": "running", "running": true}', "nothing in it is of a migration"),
    ],
)
def test_what_is_no_log_is_refused_in_one_line(raw, message):
    with pytest.raises(TraceError) as error:
        read(raw)
    assert message in str(error.value)
    assert str(error.value).isprintable()


def test_a_log_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr("migkit.importers.reading.text.MAX_BYTES", 1000)
    with pytest.raises(TraceError, match="larger than"):
        read(gzip.compress(lines(*(answer(i) for i in range(100))).encode()))


@pytest.mark.parametrize("text", ["[" * 200_000 + "\n", '{"a":' * 200_000 + "\n", "{'a':" * 100_000 + "\n"])
def test_nesting_is_bounded(text):
    with pytest.raises(TraceError):
        read(text)


def test_a_record_is_kept_as_it_is(tmp_path):
    for name in ("postgres-postcopy.json.gz", "more/domstats.txt", "more/settings.jsonl"):
        (log, *_) = read(MORE.parent / name)
        (kept,) = read(write(log, tmp_path / "log.parquet", force=True))
        assert kept.frame.equals(log.frame)
        assert (dict(kept.meta), kept.unknown, kept.cannot_tell) == (
            dict(log.meta),
            dict(log.unknown),
            log.cannot_tell,
        )
    with pytest.raises(TraceError, match="an imported log"):
        io.read(tmp_path / "log.parquet")
    raw = (tmp_path / "log.parquet").read_bytes()
    with pytest.raises(TraceError, match="altered"):
        read(raw[:200] + b"x" + raw[201:])


def test_a_trace_is_a_record_too():
    path = data.shipped_traces()[0]
    (log,) = read(path)
    assert log.meta["totals"]["sent_bytes"] == io.read(path).outcome.transferred_bytes
    assert log.frame["sent_bytes"].is_monotonic_increasing


@pytest.mark.parametrize("run", list(data.reference_timelines())[:6])
def test_reference_readings_are_records(run):
    log = read_reference(run)
    assert log.frame["t_s"].is_monotonic_increasing
    assert log.frame["sent_bytes"].max() <= log.meta["run"]["transferred_bytes"] * 1.01


def test_a_reference_run_that_is_not_there():
    with pytest.raises(TraceError, match="no readings of it"):
        read_reference("z1")


def test_old_monitors_write_their_units_out():
    text = (
        "(qemu) info migrate\ncapabilities: xbzrle: off rdma-pin-all: off auto-converge: on zero-blocks: off\n"
        "Migration status: completed\ntotal time: 12950 milliseconds\ndowntime: 104 milliseconds\n"
        "transferred ram: 5 kbytes\n"
    )
    (log,) = read(text)
    assert (log.meta["totals"]["total_time_s"], log.meta["totals"]["downtime_s"]) == (12.95, 0.104)
    assert log.meta["capabilities"]["auto-converge"] is True
    assert log.meta["skipped_lines"] == 0


def test_dictionaries_of_python_2():
    (log,) = read("{u'status': u'active', u'total-time': 100L, u'ram': {u'remaining': 8192L, u'mbps': nan}}\n")
    assert log.frame["remaining_bytes"].tolist() == [8192]


def test_progress_of_virsh_migrate():
    (log,) = read(b"Migration: [  5 %]\rMigration: [ 62.5 %]\rMigration: [100 %]\n")
    assert log.frame["done"].tolist() == [0.05, 0.625, 1]
    assert "100% at the last reading" in summary(log)


def test_vdsm():
    text = (
        "2023-01-05 10:00:10,123+0100 INFO (migmon/1) [virt.vm] (vmId='abc') Migration Progress: 10 seconds elapsed, "
        "12% of data processed, total data: 4096MB, processed data: 520MB, remaining data: 3600MB, transfer speed "
        "52MBps, zero pages: 100MB, compressed: 0MB, dirty rate: 0, memory iteration: 1 (migration:900)\n"
    )
    (log,) = read(text)
    row = log.frame.iloc[0]
    assert (row["remaining_bytes"], row["sent_bytes"], row["t_s"]) == (3600 * MIB, 520 * MIB, 10)
    assert (row["bandwidth_bytes_per_s"], row["zero_pages"], row["done"]) == (52 * MIB, 25600, 0.12)
    assert log.meta["started"] == "2023-01-05T09:00:00"


def test_a_line_with_only_the_time_dates_what_follows():
    block = "Job type:         Unbounded\nData remaining:   1.000 GiB\nMemory remaining: {} GiB\n"
    text = (
        "Fri Mar  3 14:12:05 UTC 2023\n"
        + block.format("2.000")
        + "\n=== 2023-03-03 14:12:15 ===\n"
        + block.format("1.000")
    )
    (log,) = read(text)
    assert log.frame["t_s"].tolist() == [0, 10]
    assert log.frame["remaining_bytes"].tolist() == [2 * GIB, GIB]


def test_metrics_as_a_dashboard_exports_them():
    name = "kubevirt_vmi_migration_data_remaining_bytes"
    (log,) = read(f"Time,{name}\n2024-05-01 10:00:00,4.00 GiB\n2024-05-01 10:00:30,512 MiB\n")
    assert log.frame["remaining_bytes"].tolist() == [4 * GIB, 512 * MIB]
    assert log.frame["t_s"].tolist() == [0, 30]


def test_the_arguments_of_a_measurement_are_no_reading():
    with pytest.raises(TraceError):
        read(lines({"arguments": {"calc-time": 1, "sample-pages": 512, "mode": "page-sampling"}}))


def test_the_monitor_of_10_1_with_all_that_it_can_say():
    text = (
        "Status: \t\tpostcopy-active\nTime (ms): \t\ttotal=40393, setup=12, down=1\nRAM info:\n"
        "  Throughput (Mbps): \t28.09\n  Sizes: \t\tpagesize=4 KiB, total=128 GiB\n"
        "  Transfers: \t\ttransferred=1.5 GiB, remain=119 GiB\n"
        "  Others: \t\tdirty_syncs=2, postcopy_req=9123, downtime_ram=20 KiB\n"
        "XBZRLE: size=67108864, transferred=0, pages=7, miss_rate=0.25\n  miss=3, encode_rate=0.00, overflow=0\n"
        "CPU Throttle (%): 20\nPostcopy vCPU Blocktime (ms):\n [3, 2, 1]\nPostcopy Latency (ns): 16080000\n"
        "Postcopy Latency Distribution:\n  [     1 us -     2 us ]:          4\n"
        "  [     2 us -     4 us ]:         12\n"
    )
    (log,) = read(text)
    row = log.frame.iloc[0]
    assert (row["remaining_bytes"], row["postcopy_faults"], row["downtime_bytes"]) == (119 * GIB, 9123, 20 * 1024)
    assert (row["xbzrle_pages"], row["xbzrle_cache_misses"], row["throttle"]) == (7, 3, 0.2)
    assert log.meta["totals"]["postcopy_latency_s"] == 0.01608
    assert log.meta["texts"]["Postcopy vCPU Blocktime (ms)"] == "[3, 2, 1]"
    assert log.meta["skipped_lines"] == 0
    assert not log.unknown


def test_thousands_and_decimal_commas():
    (log,) = read("Job type:         Completed\nTime elapsed:     12,950   ms\nMemory processed: 1,566 GiB\n")
    assert log.meta["totals"]["total_time_s"] == 12.95
    assert log.frame["sent_bytes"].tolist() == [pytest.approx(1.566 * GIB, abs=1)]


def test_a_cancelled_migration_ends_with_a_bare_state():
    (log,) = read(lines(answer(100), answer(200, "cancelling"), {"status": "cancelled"}))
    assert log.frame["status"].tolist() == ["active", "cancelling", "cancelled"]
    assert log.meta["outcome"] == "cancelled"


def test_zero_bytes_of_a_crash_are_left_out():
    raw = lines(answer(100)).encode() + bytes(5000) + lines(answer(200)).encode()
    for source in (raw, bytes(5000) + raw):
        (log,) = read(source)
        assert log.frame["t_s"].tolist() == [0.1, 0.2]
        assert "zero bytes in it were left out" in " ".join(log.meta["notes"])


def test_text_may_be_given_as_it_is():
    assert read(json.dumps(answer(100)))[0].frame["t_s"].tolist() == [0.1]


def test_old_lines_of_nova():
    text = "Migration running for 5 secs, memory 40% remaining; (bytes processed=60, remaining=40, total=100)\n"
    (log,) = read(text)
    assert log.frame.iloc[0][["t_s", "sent_bytes", "remaining_bytes", "total_bytes"]].tolist() == [5, 60, 40, 100]


@pytest.mark.parametrize("line", [" " * 500_000 + "x", "a: " * 200_000, "2024-01-01T00:00:00 " * 30_000])
def test_a_line_of_any_length_is_passed_in_no_time(line):
    began_s = time.process_time()
    log = read(f"{line}\nMigration status: completed\ntransferred ram: 1642661 kbytes\n")[0]
    assert time.process_time() - began_s < 5.0
    assert log.meta["notes"] == ["1 lines of more than 2048 characters, beside the objects in them, were passed"]


def test_the_time_of_a_long_record_grows_with_its_length():
    def took_s(readings: int) -> float:
        lines = (f"Migration status: active\ntransferred ram: {n} kbytes\n" for n in range(readings))
        began_s = time.process_time()
        assert len(read("".join(lines))[0].frame) == readings
        return time.process_time() - began_s

    took_s(100)
    assert took_s(8000) < 40 * took_s(800)


@pytest.mark.parametrize(
    ("bound", "most", "said"),
    [
        ("_MOST_LINES", 10, "more than 10 lines; split it"),
        ("_MOST_ITEMS", 10, "more than 10 readings; split it"),
        ("_MOST_MIGRATIONS", 10, "more than 10 migrations; split it"),
    ],
)
def test_more_than_can_be_read_in_time_is_refused(monkeypatch, bound, most, said):
    monkeypatch.setattr(f"migkit.importers.recognise.{bound}", most)
    lines = (
        "Migration status: completed\ntotal time: 10 ms\ntransferred ram: 5 kbytes\nMigration status: setup\n" * 20
    )
    with pytest.raises(TraceError, match=said):
        read(lines)
