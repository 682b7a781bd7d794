"""Who says how a migration ended: events, states and lines that several tools write alike."""

import json

import pytest

from migkit.errors import TraceError
from migkit.importers import read, write
from migkit.importers.summary import summary


def lines(*answers):
    return "\n".join(json.dumps(a) for a in answers) + "\n"


def at(second, name, **data):
    return {"timestamp": {"seconds": 1714557600 + second, "microseconds": 250000}, "event": name, "data": data}


def launcher(at, msg, **more):
    return {"component": "virt-launcher", "msg": msg, "timestamp": f"2024-05-01T10:0{at}Z", "uid": "u1"} | more


def test_events_alone_tell_the_time_and_the_passes(tmp_path):
    states = [at(0, "MIGRATION", status="setup"), at(0, "MIGRATION_PASS", **{"pass": 1})]
    states += [at(7, "MIGRATION_PASS", **{"pass": 2}), at(9, "STOP"), at(9, "MIGRATION", status="completed")]
    (log,) = read(lines(*states))
    assert (log.meta["outcome"], log.meta["totals"]["total_time_s"], log.meta["totals"]["iteration"]) == (
        "completed", 9.0, 2,
    )  # fmt: skip
    assert any("no reading of counters" in line for line in log.cannot_tell)
    assert not any("neither time stamps" in line for line in log.cannot_tell)
    (kept,) = read(write(log, tmp_path / "log.parquet"))
    assert (len(kept.frame), dict(kept.meta)) == (0, dict(log.meta))


def test_events_of_another_hypervisor_are_no_states():
    with pytest.raises(TraceError, match="nothing in it is of a migration"):
        read(lines({"event": "MIGRATION", "data": {"sent": 4096, "remaining": -1, "iteration": 0}}))


def test_a_failure_in_kubevirt_is_kubevirts():
    info = (
        "Migration info for u1: TimeElapsed:2000ms MemoryProcessed:213MiB MemoryRemaining:8003MiB MemoryTotal:8216MiB"
    )
    (log,) = read(
        lines(
            launcher("0:02", info),
            launcher("2:40", "Live migration is not completed after 160 seconds and has been aborted"),
            launcher("2:41", "Live migration failed.", reason="virError(Code=78, Message='operation aborted')"),
        )
    )
    assert (log.meta["family"], log.meta["outcome"], log.meta["vm"]) == ("kubevirt", "failed", "u1")
    said = [event["what"] for event in log.meta["events"]]
    assert said[-1] == "failed: virError(Code=78, Message='operation aborted')"
    assert log.frame["status"].tolist() == ["running", "failed"]
    assert log.meta["skipped_lines"] == 0


def test_events_of_kubernetes_tell_the_end():
    event = "23m  {}  Migrated  virtualmachineinstance/a  {}\n"
    failed = "VirtualMachineInstance migration uid c01c564e failed. reason:Live migration failed virError(Code=9)"
    (log,) = read("LAST SEEN  TYPE  REASON  OBJECT  MESSAGE\n" + event.format("Warning", failed))
    assert log.meta["outcome"] == "failed"
    assert log.meta["events"][-1]["what"] == "failed: Live migration failed virError(Code=9)"
    (log,) = read("x\n" + event.format("Normal", "The VirtualMachineInstance migrated to node n2."))
    assert log.meta["outcome"] == "completed"


def test_what_is_skipped_is_named_by_the_line_of_the_file():
    info = launcher("0:02", "Migration info for u1: TimeElapsed:2000ms MemoryRemaining:8003MiB MemoryTotal:8216MiB")
    (log,) = read(lines(info, launcher("0:03", "VMI is in phase: Running")))
    assert log.meta["skipped_first"] == ["2: VMI is in phase: Running"]


@pytest.mark.parametrize("text", ["Migration completed\nMigration has completed\n", "Live migration failed.\n" * 2])
def test_an_end_of_something_that_nobody_names_is_no_migration(text):
    with pytest.raises(TraceError, match="nothing in it is of a migration"):
        read(text)


def test_cloud_hypervisor_says_its_downtime():
    text = (
        "cloud-hypervisor:   5.0s: <vmm> DEBUG:lib.rs:13 -- Precopy: iter=0 total=512MiB curr=512MiB bw=256MiB/s "
        "elapsed=2.01s\ncloud-hypervisor:   5.7s: <vmm> INFO:lib.rs:14 -- Migration completed after 2.7s with a "
        "downtime of 131ms (goal was 300ms)\n"
    )
    (log,) = read(text)
    totals = log.meta["totals"]
    assert (log.meta["outcome"], totals["total_time_s"], totals["downtime_s"]) == ("completed", 2.7, 0.131)
    assert log.frame["remaining_bytes"].isna().all()


def test_tasks_of_proxmox_in_the_journal():
    task = "UPID:a:0000C4D3:00A1B2C3:65A67F5B:qmigrate:105:root@pam:"
    text = f"Jan 16 14:05:31 a pvedaemon[8]: <root@pam> starting task {task}\nJan 16 14:05:58 a pvedaemon[8]: "
    (log,) = read(f"{text}<root@pam> end task {task} OK\n")
    assert (log.meta["outcome"], log.meta["totals"]["total_time_s"]) == ("completed", 27.0)
    (log,) = read(f"{text}<root@pam> end task {task} migration aborted\n")
    assert log.meta["outcome"] == "failed"


def test_a_job_that_is_gone_is_over():
    block = "Job type:         Unbounded\nTime elapsed:     1012         ms\nMemory remaining: 3.9 GiB\n"
    (log,) = read(f"10:00:00.123456789\n{block}\n10:00:01.5\nJob type:         None\n")
    assert log.meta["outcome"] == "ended"
    assert "how it ended is not in the log" in summary(log)
    assert any("domjobinfo VM --completed" in line for line in log.cannot_tell)


YAML = """kind: VirtualMachineInstanceMigration
spec:
  vmiName: vm-a
status:
  migrationState:
    completed: true
    endTimestamp: "2024-03-05T10:12:41Z"
    migrationConfiguration:
      bandwidthPerMigration: 64Mi
      completionTimeoutPerGiB: 800
    mode: PreCopy
    startTimestamp: "2024-03-05T10:11:11Z"
  phase: Succeeded
"""


def test_the_status_of_a_migration_in_kubernetes():
    (log,) = read(YAML)
    assert (log.meta["vm"], log.meta["outcome"], log.meta["totals"]["total_time_s"]) == ("vm-a", "completed", 90.0)
    assert log.meta["settings"]["max_bandwidth_bytes_per_s"] == 64 * 2**20
    described = YAML.replace("migrationState", "Migration State").replace("endTimestamp", "End Timestamp")
    (same,) = read(described.replace("startTimestamp", "Start Timestamp").replace("vmiName", "Vmi Name"))
    assert same.meta["totals"] == log.meta["totals"]


def test_a_status_without_a_state_says_its_phase():
    text = "kind: VirtualMachineInstanceMigration\nmetadata:\n  name: m1\nspec:\n  vmiName: test\n"
    text += "status:\n  phase: Failed\n"
    (log,) = read(text)
    assert (log.meta["vm"], log.meta["outcome"]) == ("test", "failed")
    bare = {"kind": "VirtualMachineInstanceMigration", "spec": {"vmiName": "test"}, "status": {"phase": "Failed"}}
    (log,) = read(lines(bare))
    assert (log.meta["vm"], log.meta["outcome"]) == ("test", "failed")
    with pytest.raises(TraceError):
        read(text.replace("VirtualMachineInstanceMigration", "Pod"))


def test_the_status_of_a_machine_is_named_by_its_object():
    text = "kind: VirtualMachineInstance\nmetadata:\n  name: vm-b\n" + YAML.partition("  vmiName: vm-a\n")[2]
    (log,) = read(text)
    assert (log.meta["vm"], log.meta["totals"]["total_time_s"]) == ("vm-b", 90.0)


def test_the_status_of_a_migration_that_failed_as_json():
    state = {"startTimestamp": "2024-03-05T10:11:11Z", "endTimestamp": "2024-03-05T10:37:52Z", "completed": True}
    state |= {"failed": True, "failureReason": "has been aborted"}
    (log,) = read(lines({"spec": {"vmiName": "vm-a"}, "status": {"phase": "Failed", "migrationState": state}}))
    assert (log.meta["outcome"], log.meta["totals"]["total_time_s"]) == ("failed", 1601.0)
    assert log.meta["events"][-1]["what"] == "failed: has been aborted"


TRACE = """7@1714557600.100000:migrate_set_state new state setup
7@1714557600.200000:migration_bitmap_sync_end dirty_pages 100
7@1714557600.300000:migrate_set_state new state active
7@1714557600.400000:migrate_transferred transferred 1200000 time_spent 100 bandwidth 12000 max_size 3600000
7@1714557601.400000:migrate_pending_exact exact pending size 8192000 (pre = 8192000 post=0)
7@1714557601.500000:migration_bitmap_sync_end dirty_pages 20
7@1714557601.600000:vmstate_downtime_checkpoint src-downtime-start
7@1714557601.690000:vmstate_downtime_checkpoint src-downtime-end
7@1714557601.700000:migrate_set_state new state completed
"""


def test_trace_events_of_qemu():
    (log,) = read(TRACE)
    totals, frame = log.meta["totals"], log.frame
    assert (totals["iteration"], totals["sent_bytes"]) == (2, 1200000)
    assert (totals["total_time_s"], totals["downtime_s"]) == (pytest.approx(1.6), pytest.approx(0.09, abs=1e-6))
    assert frame["bandwidth_bytes_per_s"].dropna().tolist() == [12e6]
    assert frame["remaining_bytes"].dropna().tolist() == [8192000]
    assert log.meta["skipped_lines"] == 0


def test_trace_events_of_the_simple_backend_count_microseconds_since_the_one_before():
    text = (
        "migrate_set_state 0.000 pid=7 new_state=setup\nmigration_exec_outgoing 1000.000 pid=7 cmd=cat\n"
        "migrate_transferred 99000.000 pid=7 transferred=0x100000 time_spent=0x64 bandwidth=0x28f5 max_size=0x1\n"
        "migrate_set_state 1400000.000 pid=7 new_state=completed\n"
    )
    (log,) = read(text)
    assert log.frame["t_s"].tolist() == pytest.approx([0.1, 1.5])
    assert log.frame["bandwidth_bytes_per_s"].dropna().tolist() == [10 * 2**20]


def test_what_was_typed_is_in_force_whoever_counts():
    typed = "(qemu) migrate_set_parameter max-bandwidth 100\n(qemu) migrate_set_parameter downtime-limit 500\n"
    typed += "(qemu) migrate_set_capability auto-converge on\n"
    told = "# virsh migrate-setspeed vm1 100\n# virsh migrate-setmaxdowntime --domain vm1 --downtime 500\n"
    old = "(qemu) migrate_set_speed 100m\n(qemu) migrate_set_downtime 0.5\n"
    block = "Migration status: active\ntransferred ram: 1 kbytes\nremaining ram: 2 kbytes\n"
    for text in (typed, told, old):
        (log,) = read(text + block)
        assert log.meta["settings"] == {"max_bandwidth_bytes_per_s": 100 * 2**20, "downtime_limit_s": 0.5}
        assert log.meta["skipped_lines"] == 0
    (log,) = read(typed + '{"status": "active", "ram": {"remaining": 4096}}\n')
    assert (log.meta["family"], log.meta["capabilities"]) == ("qmp", {"auto-converge": True})


def test_events_of_libvirt_belong_to_the_statistics_that_follow():
    text = (
        "event 'migration-iteration' for domain 'vm1': iteration: '2'\n"
        "event 'lifecycle' for domain 'vm1': Suspended Migrated\nevent 'job-completed' for domain 'vm1':\n"
        "\toperation: 5\n\ttime_elapsed: 9712\n\tdowntime: 33\n\tdowntime_net: 21\n\tmemory_total: 8192\n"
        "event 'lifecycle' for domain 'vm1': Stopped Migrated\n"
    )
    (log,) = read(text)
    assert (log.meta["vm"], log.meta["outcome"], log.meta["totals"]["downtime_s"]) == ("vm1", "completed", 0.033)
    assert [event["what"] for event in log.meta["events"]][:2] == ["pass 2", "Suspended Migrated"]
    assert log.meta["skipped_lines"] == 0


def test_the_log_of_a_guest_tells_when_it_left():
    text = "2021-03-02 10:20:02.250+0000: initiating migration\n2021-03-02 10:20:32.500+0000: shutting down, "
    (log,) = read(f"{text}reason=migrated\n")
    assert (log.meta["outcome"], log.meta["totals"]["total_time_s"]) == ("completed", 30.25)


def test_a_migration_of_xen_that_failed_says_why():
    text = (
        "migration target: Ready to receive domain.\nSaving to migration stream new xl format (info 0x0/0x0/429)\n"
        "xc: Saving memory: iter 0 (last sent 0 skipped 0): 0/1048575    0%\nxc: error: Save failed at super page\n"
        "migration sender: libxl_domain_suspend failed (rc=-8)\nMigration failed, resuming at sender.\n"
    )
    (log,) = read(text)
    assert log.meta["outcome"] == "failed"
    assert [event["line"] for event in log.meta["events"]] == [1, 2, 4, 5, 6]
    assert log.meta["skipped_lines"] == 0
