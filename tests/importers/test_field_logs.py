"""Logs in the forms that people have, each read to the values that stand in it."""

import math
from pathlib import Path

import pytest

from migkit.importers import read

FIELD = Path(__file__).parent / "data" / "field"
MIB, GIB = 2**20, 2**30
SHORT = {  # the two answers that most of the short logs hold
    "t_s": [0.1, 5.5],
    "status": ["active", "completed"],
    "phase": ["precopy", "done"],
    "iteration": [1, 1],
    "remaining_bytes": [1_000_000, 1_000_000],
    "sent_bytes": [100_000, 100_000],
    "bandwidth_bytes_per_s": [1e8, 1e8],
    "dirtied_pages_per_s": [0, 0],
}


def one(status, phase):
    return {name: values[:1] for name, values in SHORT.items()} | {"status": [status], "phase": [phase]}


DISK = {
    "t_s": [1543.124],
    "phase": ["precopy"],
    "iteration": [4],
    "total_bytes": [8599183360],
    "remaining_bytes": [30695424],
    "sent_bytes": [3100448901],
    "normal_pages": [752490],
    "zero_pages": [1358341],
    "dirtied_pages_per_s": [7],
    "bandwidth_bytes_per_s": [830.636997e6 / 8],
    "expected_downtime_s": [0.001],
    "disk_total_bytes": [429496729600],
    "disk_remaining_bytes": [193896382464],
    "disk_sent_bytes": [235600347136],
    "xbzrle_cache_bytes": [67108864],
    "xbzrle_cache_misses": [8933],
}
# file: (columns, outcome, totals)
WANTED = {
    "array.json": (SHORT, "completed", {"downtime_s": 0.012, "total_time_s": 5.5}),
    "bom.jsonl": (SHORT, "completed", {"downtime_s": 0.012, "total_time_s": 5.5}),
    "crlf.jsonl": (SHORT, "completed", {"downtime_s": 0.012, "total_time_s": 5.5}),
    "utf16.jsonl": (SHORT, "completed", {"downtime_s": 0.012, "total_time_s": 5.5}),
    "block-migration.jsonl": (DISK | {"xbzrle_cache_miss_rate": [0]}, "under way", {"setup_s": 0.013}),
    "block-migration-nan.jsonl": (DISK, "under way", {"setup_s": 0.013, "total_time_s": 1543.124}),
    "cloud-hypervisor-precopy.log": (
        {
            "t_s": [3.11, 6.14],
            "iteration": [1, 2],
            "sent_bytes": [6144 * MIB, 11562 * MIB],
            "round_bytes": [6144 * MIB, 5418 * MIB],
            "remaining_bytes": [5418 * MIB, math.nan],
            "bandwidth_bytes_per_s": [1986.83 * MIB, 1824.44 * MIB],
            "expected_downtime_s": [0, 2.726],
            "logged_s": [12.702682, 15.728419],
        },
        "under way",
        {"total_bytes": 6144 * MIB, "total_time_s": 6.14},
    ),
    "colo.jsonl": (
        {
            "t_s": [334.026],
            "status": ["colo"],
            "phase": ["other"],
            "iteration": [36],
            "remaining_bytes": [0],
            "sent_bytes": [1677952185],
            "normal_pages": [407644],
            "zero_pages": [553349],
            "dirtied_pages_per_s": [208],
            "pages_per_s": [1760],
            "bandwidth_bytes_per_s": [53.822902e6 / 8],
            "expected_downtime_s": [1.277],
        },
        "under way",
        {"setup_s": 0.042, "total_bytes": 2165121024, "page_bytes": 4096},
    ),
    "domjobinfo.txt": (
        {
            "t_s": [38.412],
            "phase": ["precopy"],
            "iteration": [3],
            "sent_bytes": [12.214 * GIB],
            "remaining_bytes": [1.871 * GIB],
            "total_bytes": [16.008 * GIB],
            "bandwidth_bytes_per_s": [331.174 * MIB],
            "dirtied_pages_per_s": [90321],
            "normal_pages": [3190201],
            "zero_pages": [812311],
            "normal_bytes": [12.17 * GIB],
            "expected_downtime_s": [5.785],
            "postcopy_faults": [0],
        },
        "under way",
        {"setup_s": 0.012, "page_bytes": 4096},
    ),
    "fc-qemu-pprint.txt": (
        {
            "t_s": [10.252],
            "status": ["active"],
            "iteration": [1],
            "remaining_bytes": [168550400],
            "sent_bytes": [483210],
            "total_bytes": [286334976],
            "normal_pages": [45],
            "zero_pages": [28711],
            "bandwidth_bytes_per_s": [0.18144e6 / 8],
            "expected_downtime_s": [4],
        },
        "under way",
        {"setup_s": 0.002},
    ),
    "hmp-new.txt": (
        {
            "t_s": [6.092],
            "status": ["active"],
            "iteration": [1],
            "total_bytes": [8.13 * GIB],
            "sent_bytes": [459 * MIB],
            "remaining_bytes": [278 * MIB],
            "precopy_bytes": [744],
            "multifd_bytes": [459 * MIB],
            "postcopy_bytes": [0],
            "normal_pages": [112561],
            "zero_pages": [1946319],
            "pages_per_s": [66560],
            "page_bytes": [4096],
            "bandwidth_bytes_per_s": [1169.84e6 / 8],
            "expected_downtime_s": [0.3],
        },
        "under way",
        {"setup_s": 0.009},
    ),
    "hmp-old.txt": (
        {
            "t_s": [12.95],
            "status": ["completed"],
            "iteration": [4],
            "sent_bytes": [1642661 * 1024],
            "remaining_bytes": [0],
            "total_bytes": [2114632 * 1024],
            "normal_bytes": [1638356 * 1024],
            "normal_pages": [409589],
            "zero_pages": [125746],
            "pages_per_s": [34760],
            "page_bytes": [4096],
            "bandwidth_bytes_per_s": [1045.53e6 / 8],
        },
        "completed",
        {"downtime_s": 0.104, "setup_s": 0.004, "total_time_s": 12.95},
    ),
    "nan-mbps.jsonl": (
        {"t_s": [5.5], "remaining_bytes": [1_000_000], "bandwidth_bytes_per_s": [math.nan]},
        "completed",
        {"downtime_s": 0.012},
    ),
    "pretty.json": (
        {
            "t_s": [22.004],
            "iteration": [5],
            "sent_bytes": [1394795636],
            "normal_pages": [335991],
            "zero_pages": [1765164],
            "normal_bytes": [1376219136],
            "bandwidth_bytes_per_s": [507.311245e6 / 8],
        },
        "completed",
        {"downtime_s": 0.03, "setup_s": 0.043, "total_bytes": 8594989056},
    ),
    "progress-lines.log": (
        {
            "t_s": [math.nan] * 8,
            "sent_bytes": [n * MIB for n in (191, 456, 720, 984, 1238, 1508, 1785, 2053)],
            "total_bytes": [3585 * MIB] * 8,
            "disk_sent_bytes": [12319 * MIB] * 8,
            "disk_total_bytes": [12319 * MIB] * 8,
        },
        "under way",
        {},
    ),
    "proxmox-task-4.log": (
        {
            "t_s": [2, 7, 7],
            "sent_bytes": [172760414, 533482842, math.nan],
            "remaining_bytes": [292511744, 12886016, math.nan],
            "total_bytes": [546119680, 546119680, math.nan],
            "xbzrle_cache_misses": [0, 19283, math.nan],
            "xbzrle_cache_bytes": [33554432, 33554432, math.nan],
            "phase": ["precopy", "precopy", "done"],
        },
        "completed",
        {"downtime_s": 0.102, "total_time_s": 7, "average_bytes_per_s": 73.14 * MIB},
    ),
    "proxmox-task-9.log": (
        {
            "t_s": [1, 7, 15, 16, 16],
            "sent_bytes": [515.4 * MIB, 4.5 * GIB, 10.6 * GIB, math.nan, 11.7 * GIB],
            "total_bytes": [12.6 * GIB] * 3 + [math.nan] * 2,
            "bandwidth_bytes_per_s": [428.3 * MIB, 564.6 * MIB, 1 * GIB, math.nan, math.nan],
        },
        "completed",
        {"downtime_s": 0.059, "total_time_s": 16, "average_bytes_per_s": 806.6 * MIB},
    ),
    "status-colo.jsonl": (one("colo", "other"), "under way", {}),
    "status-failing.jsonl": (one("failing", "done"), "failed", {}),
    "status-none.jsonl": (one("none", "setup"), "not started", {}),
    "status-postcopy-device.jsonl": (one("postcopy-device", "postcopy"), "under way", {}),
    "status-postcopy-recover-setup.jsonl": (one("postcopy-recover-setup", "postcopy"), "under way", {}),
    "timestamped.jsonl": (one("active", "precopy") | {"logged_s": [1646650027.807]}, "under way", {}),
    "vfio.jsonl": (one("active", "precopy") | {"vfio_sent_bytes": [419430400]}, "under way", {}),
    "wrapped.jsonl": (one("active", "precopy") | {"logged_s": [1.0]}, "under way", {}),
}


def assert_columns(frame, wanted):
    for name, values in wanted.items():
        if isinstance(values[0], str):
            assert frame[name].tolist() == values, name
        else:
            assert frame[name].tolist() == pytest.approx(values, nan_ok=True, rel=1e-9, abs=0.51), name


@pytest.mark.parametrize("name", sorted(WANTED))
def test_a_log_reads_to_the_values_in_it(name):
    columns, outcome, totals = WANTED[name]
    (log,) = read(FIELD / name)
    assert_columns(log.frame, columns)
    assert log.meta["outcome"] == outcome
    assert {key: log.meta["totals"].get(key) for key in totals} == pytest.approx(totals, rel=1e-9)


def test_two_migrations_in_a_file_are_two_records():
    logs = read(FIELD / "two.jsonl")
    assert len(logs) == 2
    for log in logs:
        assert_columns(log.frame, SHORT)
        assert log.meta["totals"]["downtime_s"] == 0.012


def test_a_dirty_rate_is_in_mebibytes():
    (log,) = read(FIELD / "query-dirty-rate.json")
    row = log.frame.iloc[0]
    assert log.kind == "dirty-rate"
    assert (row["dirtied_bytes_per_s"], row["window_s"], row["started_s"]) == (1052 * MIB, 1, 59478)
    assert (row["mode"], row["status"], row["sample_pages_per_gib"], row["vcpu"]) == (
        "page-sampling",
        "measured",
        1024,
        -1,
    )


def test_every_log_has_a_test():
    assert {path.name for path in FIELD.iterdir()} == {*WANTED, "two.jsonl", "query-dirty-rate.json"}


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("hmp-new.txt", {"at_least": "10.1", "because": "new-hmp"}),
        ("status-postcopy-device.jsonl", {"at_least": "10.2", "because": "postcopy-device"}),
        ("block-migration.jsonl", {"before": "9.1", "because_of": "disk.total"}),
        (
            "colo.jsonl",
            {"at_least": "4.0", "because": "ram.pages-per-second", "before": "9.1", "because_of": "ram.skipped"},
        ),
        ("array.json", None),
    ],
)
def test_fields_and_states_bound_the_version(name, version):
    assert read(FIELD / name)[0].meta["version"] == version


def test_what_is_no_number_is_named_and_left_open():
    (log,) = read(FIELD / "block-migration-nan.jsonl")
    assert log.unknown == {"xbzrle-cache.cache-miss-rate": "nan (no usable number)"}
    assert "xbzrle_cache_miss_rate" not in log.frame


def test_settings_and_stamps_of_a_task_log():
    (log,) = read(FIELD / "proxmox-task-9.log")
    assert log.meta["settings"] == {"downtime_limit_s": 0.1, "xbzrle_cache_bytes": 2 * GIB}
    assert (log.meta["started"], log.meta["ended"]) == ("2025-11-14T21:47:42", "2025-11-14T21:47:58")
    assert "divides the guest's memory by the time" in log.meta["meanings"]["average_bytes_per_s"]
    (log,) = read(FIELD / "proxmox-task-4.log")
    assert log.meta["settings"] == {"max_bandwidth_bytes_per_s": 8589934592, "downtime_limit_s": 0.1}
    assert log.meta["clock"] == "month and day without a year"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("progress-lines.log", "neither time stamps nor a time since the request"),
        ("array.json", "no counts of pages"),
        ("array.json", "read every 5.4 s"),
        ("pretty.json", "a single reading"),
        ("hmp-new.txt", "rounded when they were printed (total_bytes to 10.2 MiB)"),
        ("domjobinfo.txt", "does not show the downtime limit and the bandwidth cap"),
        ("colo.jsonl", "stops while the migration is under way"),
    ],
)
def test_a_log_says_what_it_cannot_tell(name, sentence):
    assert sentence in " ".join(read(FIELD / name)[0].cannot_tell)
