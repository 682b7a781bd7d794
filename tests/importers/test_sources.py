"""Each source with the traps that its logs have."""

import json
from pathlib import Path

import numpy as np
import pytest

from migkit.errors import TraceError
from migkit.importers import read
from migkit.importers.summary import summary

MORE = Path(__file__).parent / "data" / "more"
MIB, GIB = 2**20, 2**30


def lines(*answers):
    return "\n".join(json.dumps(a) for a in answers) + "\n"


def test_a_real_precopy_gives_the_counters_of_a_fit():
    (log,) = read(MORE.parent / "postgres-precopy.json.gz")
    frame, totals = log.frame, log.meta["totals"]
    assert (len(frame), totals["total_time_s"], totals["downtime_s"], totals["iteration"]) == (89, 17.717, 0.013, 8)
    assert (totals["normal_pages"], totals["zero_pages"], totals["sent_bytes"]) == (588070, 1616906, 2428414189)
    marked = frame["remaining_bytes"].diff() / 4096 + frame["normal_pages"].diff() + frame["zero_pages"].diff()
    assert marked.sum() == (0 - 8577740800) / 4096 + (588070 - 6592) + (1616906 - 691)
    assert marked.min() >= -2  # the counters are read while they move
    assert frame["t_s"].is_monotonic_increasing
    assert log.meta["clock"] == "t_monotonic"
    assert not log.unknown


def test_a_real_postcopy_keeps_the_answer_of_the_destination():
    (log,) = read(MORE.parent / "postgres-postcopy.json.gz")
    totals = log.meta["totals"]
    assert log.meta["postcopy"]
    assert log.frame["phase"].tolist() == ["precopy"] + ["postcopy"] * 8 + ["done"]
    assert totals["postcopy_latency_s"] == pytest.approx(200999e-9)
    assert totals["postcopy_blocktime_s"] == 0.005
    assert totals["postcopy_vcpu_blocktime_s"] == [0.008, 0.008, 0.027, 0.02]
    assert totals["postcopy_latency_counts"][6] == 1694
    assert (totals["total_time_s"], totals["postcopy_faults"]) == (1.859, 2592)
    assert "the real pause is longer" in log.meta["meanings"]["downtime_s"]
    assert log.meta["version"]["at_least"] == "10.1"


def test_a_support_ticket_holds_two_sources_about_one_machine():
    monitor, jobinfo = read(MORE / "ticket.txt")
    assert (monitor.meta["family"], jobinfo.meta["family"]) == ("hmp", "virsh")
    assert monitor.meta["vm"] == jobinfo.meta["vm"] == "db01"
    assert monitor.frame.iloc[0][["remaining_bytes", "throttle", "t_s"]].tolist() == [1523400 * 1024, 0.4, 381.234]
    assert jobinfo.frame.iloc[0]["throttle"] == 0.5
    assert jobinfo.unknown == {"Some new field": "17"}
    assert any("Hi team" in line for line in monitor.meta["skipped_first"])


def test_a_journal_that_is_cut_off():
    (log,) = read(MORE / "journal.log")
    assert log.frame["status"].tolist() == ["setup", "active", "active"]
    assert log.frame["t_s"].dropna().tolist()[-2:] == [0.9, 10.9]
    assert log.unknown == {"ram.new-counter": "5"}
    assert "begins in line 5 is cut off" in " ".join(log.meta["notes"])


def test_machines_of_a_libvirt_log_are_kept_apart_and_replies_read_once():
    first, second = read(MORE / "libvirt.log")
    assert (first.meta["vm"], second.meta["vm"]) == ("0x7f1111110000", "0x7f2222220000")
    for log in (first, second):
        assert log.frame["t_s"].tolist() == [1, 2, 3, 4]
        assert log.meta["outcome"] == "completed"
    assert first.meta["settings"]["downtime_limit_s"] == 0.5
    assert "max_bandwidth without limit" in summary(first)
    assert second.meta["settings"] == {}
    assert first.meta["started"].startswith("2024-01-05T09:00:0")


def test_a_time_that_restarts_begins_another_migration():
    first, second = read(MORE / "restart.jsonl")
    assert first.frame["t_s"].tolist() == [0.2, 5]
    assert second.frame["t_s"].tolist() == [0.1, 9]
    assert (first.meta["outcome"], second.meta["outcome"]) == ("under way", "completed")


def test_what_is_whole_in_a_cut_object_is_read():
    (log,) = read(MORE / "truncated.json")
    assert log.frame["t_s"].tolist() == [0.005, 1.005, 2.005, 3.005]
    assert log.frame["logged_s"].tolist() == [1700000000 + i for i in range(4)]


def test_bytes_of_windows():
    (log,) = read(MORE / "cp1252.txt")
    assert log.meta["encoding"] == "Windows-1252"
    assert log.meta["texts"]["error-desc"] == "Zeitüberschreitung"
    assert log.meta["outcome"] == "failed"


def test_another_language_is_told_apart_from_no_log():
    with pytest.raises(TraceError, match="LC_ALL=C virsh domjobinfo"):
        read(MORE / "german.txt")


def test_nova():
    (log,) = read(MORE / "nova.log")
    assert log.meta["vm"] == "11111111-2222-3333-4444-555555555555"
    assert log.frame["t_s"].tolist() == pytest.approx([0, 30, 60, 73.4])
    assert log.frame["remaining_bytes"].tolist()[1:3] == [5160000000, 1720000000]
    assert np.isnan(log.frame["remaining_bytes"].iloc[0])  # zeros before the first statistics are no counters
    assert log.meta["outcome"] == "completed"
    assert log.meta["settings"] == {"downtime_limit_s": 0.05}
    assert any("VM Paused" in event["what"] for event in log.meta["events"])


NOVA = (
    "2026-11-29 10:00:31.456 7 INFO nova.virt.libvirt.driver [instance: 6e1a] Migration running for 30 secs, memory "
    "95% remaining (bytes processed=3900000000, remaining=65200000000, total=68719476736)\n"
    "2026-11-29 {at} 7 WARNING nova.virt.libvirt.migration [instance: 6e1a] Live migration not completed after "
    "51200 sec\n"
)


def test_the_completion_timeout_of_nova_is_an_outcome():
    (log,) = read(NOVA.format(at="10:00:30.000").replace("2026-11-29 10:00:30.000", "2026-11-30 00:13:30.000"))
    assert log.meta["outcome"] == "timed out"
    assert "ran into its completion timeout, at which Nova aborts it by default" in summary(log)
    assert log.meta["notes"] == []
    assert any("whether Nova aborted" in line for line in log.cannot_tell)


def test_a_line_that_counts_more_than_its_stamp_allows_is_questioned():
    (log,) = read(NOVA.format(at="10:25:01.456"))
    assert log.meta["notes"] == [
        "line 2 counts 51200 s, but by its stamp the migration had run for 25 min: they contradict each other, or "
        "the line is of another migration"
    ]


def test_readings_after_the_timeout_say_that_it_went_on():
    later = NOVA.format(at="10:25:01.456").splitlines()[0].replace("10:00:31", "10:26:31").replace("30 s", "1590 s")
    (log,) = read(NOVA.format(at="10:25:01.456") + later + "\n")
    assert log.meta["outcome"] == "under way"


def test_kubevirt():
    (log,) = read(MORE / "kubevirt.log")
    assert log.frame["sent_bytes"].dropna().tolist() == [120 * MIB, 1120 * MIB]
    assert log.frame["bandwidth_bytes_per_s"].dropna().tolist() == [1e8, 801e6 / 8]
    assert log.frame["dirtied_pages_per_s"].dropna().tolist() == pytest.approx([0, 210e6 / 8 / 4096])
    assert log.meta["resolution_bytes"]["remaining_bytes"] == MIB
    assert (log.meta["outcome"], log.meta["totals"]["total_time_s"]) == ("completed", pytest.approx(40))


def test_kubevirt_names_the_machine_in_every_line():
    text = (MORE / "kubevirt.log").read_text()
    whole = [json.dumps(json.loads(line) | {"uid": "abc", "name": "vm1"}) for line in text.splitlines()]
    (log,) = read("\n".join(whole))
    assert (log.meta["vm"], log.meta["outcome"], len(log.frame)) == ("abc", "completed", 3)


def test_rates_of_old_kubevirt_are_set_right():
    text = (MORE / "kubevirt.log").read_text().replace(":800Mbps", ":12Mbps").replace(":801Mbps", ":12Mbps")
    (log,) = read(text.replace(":210Mbps", ":3Mbps"))
    assert log.frame["bandwidth_bytes_per_s"].dropna().iloc[-1] == 12e6 / 8 * 64
    assert log.frame["dirtied_pages_per_s"].dropna().iloc[-1] == pytest.approx(3e6 / 8 * 64 / 4096)
    assert any("64 times too low" in note for note in log.meta["notes"])


def test_metrics_as_csv():
    logs = {log.meta["vm"]: log for log in read(MORE / "prom.csv")}
    first = logs["vm1"].frame
    assert first["remaining_bytes"].tolist() == [4e9, 2e9, 1e9]
    assert first["sent_bytes"].tolist() == [1e8, 3.1e9, 6.1e9]
    assert first["t_s"].tolist() == [0, 30, 60]
    assert logs["vm2"].frame["remaining_bytes"].dropna().tolist() == [5e9]


def test_metrics_in_long_rows_and_in_the_answer_of_the_api():
    metric = "kubevirt_vmi_migration_data_remaining_bytes"
    text = f"timestamp,metric,value\n1714557600,{metric},4e9\n1714557630,{metric},3e9\n"
    api = {"status": "success", "data": {"result": [
        {"metric": {"__name__": metric, "name": "a"}, "values": [[1714557600, "4e9"], [1714557630, "3e9"]]}
    ]}}  # fmt: skip
    exposed = f'{metric}{{name="a"}} 4e9 1714557600000\n{metric}{{name="a"}} 3e9 1714557630000\n'
    for source in (text, json.dumps(api) + "\n", exposed):
        (log,) = read(source)
        assert log.frame["remaining_bytes"].tolist() == [4e9, 3e9]
        assert log.frame["t_s"].tolist() == [0, 30]


def test_counters_as_csv():
    text = (
        "time,ram.remaining,ram_transferred,normal,duplicate,status\n1.5,4096,10,1,2,active\n2.5,0,20,3,4,completed\n"
    )
    (log,) = read(text)
    assert log.frame["remaining_bytes"].tolist() == [4096, 0]
    assert log.frame["normal_pages"].tolist() == [1, 3]
    assert log.frame["t_s"].tolist() == [0, 1]
    assert log.meta["outcome"] == "completed"


def test_xen_new_and_old():
    (new,) = read(MORE / "xl.log")
    assert new.frame["remaining_bytes"].dropna().tolist() == [
        (1044480 - 10240) * 4096,
        0,
        (20480 - 9021) * 4096,
    ]
    assert new.meta["outcome"] == "completed"
    (old,) = read(MORE / "xm.log")
    assert old.frame["bandwidth_bytes_per_s"].dropna().tolist() == [891e6 / 8, 706e6 / 8]
    assert old.meta["totals"]["normal_pages"] == 259964


def test_dirty_rates_of_libvirt_and_of_the_monitor():
    (log,) = read(MORE / "domstats.txt")
    whole = log.frame[log.frame["vcpu"] == -1]
    assert log.meta["vm"] == "vm9"
    assert whole["dirtied_bytes_per_s"].tolist() == [40 * MIB, 108 * MIB]
    assert whole["window_s"].tolist() == [1, 1]
    assert whole["started_s"].tolist() == [348414, 3665.220]
    assert log.frame.loc[log.frame["vcpu"] == 1, "dirtied_bytes_per_s"].tolist() == [30 * MIB, 107 * MIB]
    assert "interval over both" in log.cannot_tell[0]


def test_a_dirty_rate_in_milliseconds_and_by_processor():
    vcpus = [{"id": 0, "dirty-rate": 2}, {"id": 1, "dirty-rate": 3}]
    times = {"calc-time": 500, "calc-time-unit": "millisecond", "start-time": 1500}
    said = {"status": "measured", "dirty-rate": 5, "mode": "dirty-ring", "vcpu-dirty-rate": vcpus} | times
    (log,) = read(lines({"return": said}))
    assert log.frame["window_s"].tolist() == [0.5] * 3
    assert log.frame["dirtied_bytes_per_s"].tolist() == [5 * MIB, 2 * MIB, 3 * MIB]


def test_criu():
    (log,) = read(MORE / "criu.json")
    totals = log.meta["totals"]
    assert totals["downtime_s"] == pytest.approx(0.101330 + 0.215322)
    assert (totals["scanned_pages"], totals["unchanged_pages"], totals["normal_pages"]) == (81233, 61020, 20213)


def test_guestperf_says_megabits_whatever_it_calls_them():
    (log,) = read(MORE / "guestperf.json")
    assert log.frame["bandwidth_bytes_per_s"].tolist() == [940.5e6 / 8, 941e6 / 8]
    assert log.frame["downtime_s"].dropna().tolist() == [0.031]
    assert log.meta["settings"]["downtime_limit_s"] == 0.5
    assert log.meta["settings"]["max_bandwidth_bytes_per_s"] == 125000 * MIB


def test_libvirt_statistics_as_a_dictionary_and_as_text():
    (typed,), (text,) = read(MORE / "jobstats.txt"), read(MORE / "domjobinfo-completed.txt")
    for log in (typed, text):
        totals = log.meta["totals"]
        assert (totals["total_time_s"], totals["downtime_s"], totals["downtime_net_s"]) == (45.678, 0.087, 0.08)
        assert (totals["normal_pages"], totals["zero_pages"], totals["iteration"]) == (1200000, 60000, 6)
        assert log.meta["outcome"] == "completed"
    assert text.frame["remaining_bytes"].tolist() == [0]


def test_two_tasks_of_proxmox_in_one_log():
    first, second = read(MORE / "prox6.log")
    assert first.meta["totals"]["total_time_s"] == 38
    assert first.meta["totals"]["downtime_s"] == 0.167
    assert first.meta["settings"]["downtime_limit_s"] == 0.2
    assert second.meta["outcome"] == "failed"
    assert first.meta["vm"].isdigit()
    assert second.frame["dirtied_pages_per_s"].iloc[0] == pytest.approx(130.2 * MIB / 4096)


def test_settings_capabilities_version_and_events():
    (log,) = read(MORE / "settings.jsonl")
    assert log.meta["version"] == {"qemu": "11.1.3"}
    assert log.meta["settings"]["max_bandwidth_bytes_per_s"] == 128 * MIB
    assert log.meta["capabilities"] == {"auto-converge": True, "multifd": False}
    assert [event["what"] for event in log.meta["events"]] == [
        "request",
        "state setup",
        "guest stopped",
        "state completed",
    ]
    assert "from QEMU 11.1 it counts passes" in log.meta["meanings"]["iteration"]
    assert log.frame["system_remaining_bytes"].iloc[0] == 9e8
    assert not [line for line in log.cannot_tell if "limit" in line]


def test_a_log_inside_a_log():
    (log,) = read(MORE / "docker.log")
    assert log.frame["t_s"].tolist() == [0.1]
    assert log.meta["started"] == "2024-05-01T10:00:01"


def test_nothing_of_a_log_reaches_a_terminal_raw():
    (log,) = read(MORE / "evil.jsonl")
    text = summary(log)
    assert all(line.isprintable() for line in text.split("\n"))
    assert "act\\x1b[2Jive" in text
    assert set(log.unknown) == {"ram.tr\\x1bansferred", "ram.total", "status"}


def test_vdsm_says_how_it_ended_and_of_which_machine():
    prefix = "2023-01-05 10:00:{:02d},000+0100 INFO  (migsrc/abc) [virt.vm] (vmId='abc-1') {}\n"
    text = prefix.format(2, "starting migration to qemu+tls://h2/system with miguri tcp://10.0.0.2 (migration:480)")
    text += prefix.format(12, "Migration Progress: 10 seconds elapsed, 52% of data processed (migration:853)")
    text += prefix.format(31, "migration took 29 seconds to complete (migration:502)")
    (log,) = read(text)
    assert (log.meta["vm"], log.meta["outcome"], log.meta["totals"]["total_time_s"]) == ("abc-1", "completed", 29)


def test_a_scrape_without_times_is_one_reading_and_what_counts_a_cluster_is_none():
    line = 'libvirt_domain_job_info_{}{{domain="a"}} {}\n'
    scrape = "# TYPE libvirt_domain_job_info_type gauge\n" + line.format("time_elapsed_seconds", 12.5)
    scrape += line.format("memory_remaining_bytes", "3.1e+09") + "kubevirt_vmi_migrations_in_running_phase 1\n"
    (log,) = read(scrape + scrape.replace("12.5", "14.5").replace("3.1e", "2.1e"))
    assert log.frame["t_s"].tolist() == [12.5, 14.5]
    assert log.frame["remaining_bytes"].tolist() == [3.1e9, 2.1e9]


def test_a_value_of_ten_digits_is_no_time():
    series = 'kubevirt_vmi_migration_data_remaining_bytes{instance="10.0.0.1:8443", name="a"} =>\n'
    (log,) = read(series + "4045410304 @[1714557600]\n3045410304 @[1714557630]\n")
    assert log.frame["remaining_bytes"].tolist() == [4045410304, 3045410304]


def test_criu_as_it_prints_itself():
    text = (
        "Displaying dump stats:\nFreezing time: 1012 us\nFrozen time: 78911 us\n"
        "Memory pages scanned: 812 (0x32c)\nMemory pages written: 202 (0xca)\n"
    )
    (log,) = read(text)
    assert log.meta["totals"]["downtime_s"] == pytest.approx(0.079923)
    assert (log.meta["totals"]["scanned_pages"], log.meta["totals"]["normal_pages"]) == (812, 202)


def test_vmotion_and_hyper_v():
    stood = "2026-04-14T15:38:20.544Z| vcpu-0| I120: Checkpoint_Unstun: vm stopped for 286341 us\n"
    with pytest.raises(TraceError):
        read(stood * 2)  # as after a snapshot
    text = (
        "2026-04-14T15:38:17.500Z cpu4:27)Migrate: vm 27: 3284: Setting VMOTION info: Source ts = 1451061663105920\n"
        "2026-04-14T15:38:20.160Z cpu0:15)VMotion: 4650: 1451061663105920 S: Stopping pre-copy: only 1296 pages left "
        "to send, which can be sent within the goal of 0.500 seconds (network bandwidth ~145.404 MB/s)\n"
    )
    (log,) = read(text + stood)
    assert log.frame["remaining_bytes"].dropna().tolist() == [1296 * 4096]
    assert log.frame["bandwidth_bytes_per_s"].dropna().tolist() == [145.404e6]
    assert log.meta["totals"]["downtime_s"] == pytest.approx(0.286341)
    (log,) = read(
        "Message: The live migration of virtual machine 'v1' completed with a blackout time of 0.7 seconds.\n"
    )
    assert (log.meta["vm"], log.meta["outcome"], log.meta["totals"]["downtime_s"]) == ("v1", "completed", 0.7)


def test_progress_of_incus():
    (log,) = read(
        "Transferring instance: vm1: 1.35GB (312.45MB/s)\nTransferring instance: vm1: 3.75GB (302.45MB/s)\n"
    )
    assert log.frame["sent_bytes"].tolist() == [1.35e9, 3.75e9]
    assert log.frame["bandwidth_bytes_per_s"].tolist() == [312.45e6, 302.45e6]
    assert log.meta["vm"] == "vm1"


def test_the_first_layout_of_the_monitor_of_10_1():
    text = (
        "(qemu) info migrate\nStatus: active\nTime (ms): total=14292, setup=13, exp_down=12223\nRAM info:\n"
        "  Bandwidth (mbps): 800.00\n  Sizes (KB): psize=4, total=16777992\n"
        "    transferred=15697718, remain=12383520,\n"
        "    precopy=2, multifd=15697713, postcopy=0\n  Pages: normal=3913877, zero=599981, rate_per_sec=286769\n"
        "  Others: dirty_syncs=2, dirty_pages_rate=264552\n"
    )
    (log,) = read(text)
    row = log.frame.iloc[0]
    assert (row["bandwidth_bytes_per_s"], row["dirtied_pages_per_s"]) == (1e8, 264552)
    assert not log.unknown


def test_a_guest_of_which_only_processors_were_counted_dirties_their_sum():
    text = "Status: measured\nStart Time: 3665220 (ms)\nPeriod: 5 (sec)\nMode: dirty-ring\n"
    (log,) = read(text + "vcpu[0], Dirty rate: 2 (MB/s)\nvcpu[1], Dirty rate: 5 (MB/s)\n")
    assert log.frame["dirtied_bytes_per_s"].tolist() == [7 * MIB, 2 * MIB, 5 * MIB]


def test_the_monitor_of_11_1_with_its_greeting_and_all_its_parameters():
    text = (
        "QEMU 11.1.3 monitor - type 'help' for more information\n(qemu) info migrate_parameters\n"
        "announce-initial: 50 ms\nannounce-max: 550 ms\nannounce-step: 100 ms\nx-checkpoint-delay: 20000 ms\n"
        "downtime-limit: 300 ms\nmode: normal\n(qemu) info migrate\nStatus: \t\tcompleted\n"
        "Time (ms): \t\ttotal=1104, setup=1, down=2\nRemaining: \t\t243 MiB\nRAM info:\n"
        "  Transfers: \t\ttransferred=2.3 MiB, remain=0 B\n  Others: \t\tdirty_syncs=2, downtime_bytes=419049\n"
    )
    (log,) = read(text)
    row = log.frame.iloc[0]
    assert (row["system_remaining_bytes"], row["downtime_bytes"]) == (243 * MIB, 419049)
    assert log.meta["version"] == {"qemu": "11.1.3"}
    assert list(log.meta["settings"].items())[:2] == [("downtime_limit_s", 0.3), ("announce-initial", "50 ms")]
    assert (log.meta["skipped_lines"], log.unknown, log.meta["notes"]) == (0, {}, [])


def test_progress_that_virsh_wrote_over_itself_and_its_error():
    shares = "".join(f"Migration: [{share:5.2f} %]" for share in (0.47, 0.73, 10.55))
    (log,) = read(f"{shares}error: operation failed: job 'migration out' failed: QEMU unexpectedly closed\n")
    assert log.frame["done"].dropna().tolist() == pytest.approx([0.0047, 0.0073, 0.1055])
    assert log.meta["outcome"] == "failed"
    assert "QEMU unexpectedly closed" in log.meta["events"][0]["what"]
    (log,) = read(f"{shares}Migration: [100.00 %]\n")
    assert log.meta["outcome"] == "completed"
