import dataclasses

import pandas as pd
import pytest

from migkit import DirtyClass, Guest, Host, Link, Policy, Scenario, Strategy, predict, predict_many
from migkit.models import goodput

MIB = 2**20


def scenario(**parts):
    guest = Guest(
        memory_bytes=256 * MIB,
        compression_ratio=4.0,
        dirty=(DirtyClass(region_bytes=16 * MIB, writes_per_s=200.0),),
    )
    given = {"guest": guest, "link": Link(bandwidth_bytes_per_s=1e8), "policy": Policy(max_bandwidth_bytes_per_s=5e7)}
    return Scenario(**(given | parts))


def test_compression_sends_fewer_bytes_in_less_time():
    plain, packed = predict(scenario()), predict(scenario(strategy=Strategy(compression="lz4")))
    assert packed.transferred_bytes == pytest.approx(plain.transferred_bytes / 4, rel=0.05)
    assert packed.total_time_s == pytest.approx(plain.total_time_s / 4, rel=0.05)


def test_a_slow_compressor_is_the_limit_and_more_streams_help():
    slow = Host(zlib_bytes_per_s=2e7)
    one = predict(scenario(host=slow, strategy=Strategy(compression="zlib")))
    two = predict(scenario(host=slow, strategy=Strategy(compression="zlib", streams=2)))
    assert one.total_time_s == pytest.approx(256 * MIB / 2e7, rel=0.05)
    assert two.total_time_s == pytest.approx(256 * MIB / 4e7, rel=0.05)


def test_no_more_streams_compress_than_processors_are_free():
    host = Host(zlib_bytes_per_s=2e7, source_free_cores=1)
    few = predict(scenario(host=host, strategy=Strategy(compression="zlib", streams=8)))
    assert few.total_time_s == pytest.approx(256 * MIB / 2e7, rel=0.05)


def test_a_checkpoint_comes_before_the_first_byte():
    plain = predict(scenario())
    saved = predict(scenario(host=Host(disk_bytes_per_s=1e8), strategy=Strategy(checkpoint_bytes=10**9)))
    assert saved.total_time_s == pytest.approx(plain.total_time_s + 10, rel=1e-9)
    assert saved.transferred_bytes == pytest.approx(plain.transferred_bytes)


def test_storage_is_copied_under_the_cap_and_its_writes_are_sent_as_well():
    plain = predict(scenario())
    copied = predict(scenario(strategy=Strategy(storage_bytes=10**9)))
    assert copied.total_time_s == pytest.approx(plain.total_time_s + 1e9 / 5e7)
    assert copied.transferred_bytes == pytest.approx(plain.transferred_bytes + 10**9)
    written = predict(scenario(strategy=Strategy(storage_bytes=10**9, storage_dirty_bytes_per_s=7e7)))
    assert written.total_time_s > copied.total_time_s
    sent = plain.transferred_bytes + 10**9 + 7e7 * written.total_time_s
    assert written.transferred_bytes == pytest.approx(sent, rel=0.02)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        (
            {"host": Host(destination_free_memory_bytes=128 * MIB)},
            "not admitted: the guest has 256 MiB, and 128 MiB are free at the destination. "
            "Free memory there, choose another destination, or shrink the guest.",
        ),
        (
            {"strategy": Strategy(storage_bytes=10**9, storage_dirty_bytes_per_s=2e8)},
            "not admitted: the guest writes 1.6 Gbit/s to storage, and the path carries 800 Mbit/s. "
            "A faster path would do, or storage that is shared.",
        ),
    ],
)
def test_what_has_no_room_is_not_admitted(parts, reason):
    result = predict(scenario(**parts))
    assert (result.verdict, result.reasons, result.total_time_s, result.transferred_bytes) == (
        "aborted",
        (reason,),
        0,
        0,
    )


def test_a_frame_refuses_row_by_row():
    frame = pd.DataFrame({"destination_free_memory_bytes": [2**27, 2**30]})
    result = predict_many(frame, scenario(strategy=Strategy(storage_bytes=10**8)))
    assert result["verdict"].tolist() == ["aborted", "converges"]
    assert result["transferred_bytes"][0] == result["total_time_s"][0] == 0


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({}, 1e8),
        ({"link": Link(bandwidth_bytes_per_s=1e8, background_bytes_per_s=4e7)}, 6e7),
        ({"link": Link(bandwidth_bytes_per_s=1e8, migrations=4)}, 2.5e7),
        ({"link": Link(rtt_s=0.1, window_bytes=10**6)}, 1e7),
        ({"link": Link(rtt_s=0.1, window_bytes=10**6), "strategy": Strategy(streams=4)}, 4e7),
        ({"link": Link(), "host": Host(receive_bytes_per_s=3e7)}, 3e7),
        ({"link": Link(), "host": Host(tls_bytes_per_s=2e8), "strategy": Strategy(tls=True)}, 2e8),
        ({"link": Link(), "host": Host(goodput_bytes_per_s=1e9, source_free_cores=0.5)}, 5e8),
        ({"link": Link(rtt_s=0.01, loss=0.01)}, 1.5**0.5 * 1460 / (0.01 * 0.1)),
    ],
)
def test_the_narrowest_part_of_the_path_counts(parts, expected):
    assert goodput.goodput(scenario(**parts)) == pytest.approx(expected)


def test_slow_start_costs_round_trips():
    assert goodput.ramp_s(scenario(), 1e8) == 0
    far = scenario(link=Link(rtt_s=0.1))
    assert 0.3 < goodput.ramp_s(far, 1e8) < 1.0
    assert goodput.ramp_s(far, 1e9) > goodput.ramp_s(far, 1e8)


@pytest.mark.parametrize("strategy", ["precopy", "stopcopy"])
def test_the_time_line_bends_where_the_zero_pages_begin(strategy):
    def line(zero_bytes):
        guest = Guest(memory_bytes=128 * MIB + zero_bytes, zero_bytes=zero_bytes, layout="blocks")
        rule = Policy(max_bandwidth_bytes_per_s=5e7, downtime_limit_s=0.0)
        host = Host(platform="qemu-tcg")
        case = scenario(guest=guest, host=host, policy=rule, strategy=Strategy(name=strategy))
        return predict(case, level=None).timeline

    with_zeros, without = line(128 * MIB), line(0)
    bend = next(point for point in with_zeros if point.remaining_bytes == 128 * MIB)
    end = next(point for point in without if point.remaining_bytes == 0)
    assert bend.t_s == pytest.approx(end.t_s, rel=0.002)
    assert bend.sent_bytes == pytest.approx(end.sent_bytes, rel=0.002)
    assert [point.t_s for point in with_zeros] == sorted(point.t_s for point in with_zeros)


def test_without_detail_there_are_no_rounds_and_no_time_line():
    one, other = predict(scenario(), level=None), predict(scenario(), level=None, detail=False)
    assert other.rounds == ()
    assert other.timeline == one.timeline[-1:]
    assert dataclasses.replace(other, rounds=one.rounds, timeline=one.timeline) == one
