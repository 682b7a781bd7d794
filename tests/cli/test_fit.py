import dataclasses
import gzip
import json
import math
import re
import tomllib

import pytest
from click.testing import CliRunner

from migkit.calibrate.guest import scenario_file as guest_file
from migkit.cli.calibrate import DriftError
from migkit.cli.calibrate import command as calibrate
from migkit.cli.fit import command as fit
from migkit.cli.predict import command as predict
from migkit.errors import InfeasibleError, MigkitError, UsageError
from migkit.scenario import DirtyClass, Guest
from migkit.scenario.form import schema
from migkit.traces import data, io

PRECOPY, POSTCOPY, ENDLESS = (
    data.data_path(f"kvm_database/{name}.json.gz") for name in ("precopy-4t-2", "postcopy-4t-2", "precopy-16t-2")
)


def run(command, *arguments):
    return CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False)


def test_from_a_log_to_a_prediction(tmp_path):
    guest, host = tmp_path / "guest.toml", tmp_path / "host.toml"
    told = run(fit, PRECOPY, "-o", guest).output
    assert "as logged" in told
    predicted = re.search(r"predicted ([\d.]+) s, measured 17\.1 s", told)
    assert float(predicted[1]) == pytest.approx(17.1, rel=0.03)  # on typical hosts, which are not yet calibrated
    assert "constant" in run(calibrate, PRECOPY, POSTCOPY, "-o", host).output
    answer = json.loads(run(predict, guest, "--host", host, "--format", "json").output)
    assert answer["verdict"] == "converges"
    assert answer["total_time_s"] == pytest.approx(17.113, rel=0.015)
    assert answer["downtime_s"] == pytest.approx(0.011, abs=0.015)
    assert answer["scenario"]["host"]["fault_service_s"] == pytest.approx(2e-4, rel=0.05)
    assert answer["scenario"]["host"]["firmware_bytes"] == 0


def test_a_flag_has_precedence_over_the_hosts_of_a_file(tmp_path):
    run(fit, PRECOPY, "-o", tmp_path / "guest.toml")
    run(calibrate, POSTCOPY, "-o", tmp_path / "host.toml")
    arguments = (tmp_path / "guest.toml", "--host", tmp_path / "host.toml", "--host-setup", "2 s", "--format", "json")
    assert json.loads(run(predict, *arguments).output)["scenario"]["host"]["setup_s"] == 2.0


def test_a_migration_that_ended_with_its_load_is_said_so():
    told = run(fit, ENDLESS).output
    assert "Not stationary: the logged migration came to its end" in told
    assert "natural downtime" in told


def test_a_single_reading_is_answered_by_an_interval_and_what_to_measure(tmp_path):
    told = run(
        fit, "--scalar", "200 MiB/s in 1 s", "--memory", "8 GiB", "--max-bandwidth", "150 MiB/s",
        "--downtime-limit", "2 s", "-o", tmp_path / "guest.toml",
    ).output  # fmt: skip
    assert "whether it converges is open" in told
    assert "without end" in told
    assert "calc-dirty-rate" in told
    assert "virsh domdirtyrate-calc DOMAIN --seconds 55" in told
    most, least = (schema.load(tmp_path / name).guest for name in ("guest.toml", "guest-least.toml"))
    assert most.dirty[0].kind == "sweep"
    assert least.dirty[0].region_bytes < 210 * 2**20


def test_one_reading_of_a_stuck_migration_does_not_converge(tmp_path):
    log = tmp_path / "last.log"
    lines = gzip.decompress(data.data_path("kvm_database/precopy-16t-1.json.gz").read_bytes()).decode().splitlines()
    log.write_text(lines[399])
    record = json.loads(run(fit, log, "-o", tmp_path / "guest.toml", "--format", "json").stdout)
    assert {one["verdict"] for one in record["family"]} == {"does_not_converge"}
    assert {one["downtime_s"] for one in record["family"]} == {None}
    told = run(fit, log).output
    assert "does not converge, whichever of them it is" in told
    assert "  0 s" not in told
    with pytest.raises(InfeasibleError, match="does not converge"):
        run(predict, tmp_path / "guest.toml", "--max-bandwidth", "1.08 Gbit/s")


HMP = """Migration status: active
total time: 1234567 ms
transferred ram: 150000000 kbytes
throughput: 1073.74 mbps
remaining ram: 7340032 kbytes
total ram: 67125256 kbytes
duplicate: 1000000 pages
normal: 37500000 pages
dirty sync count: 42
page size: 4 kbytes
dirty pages rate: {rate} pages
"""


def test_guests_that_would_have_ended_before_the_reading_are_left_out(tmp_path):
    log = tmp_path / "hmp.log"
    log.write_text(HMP.format(rate=20000))
    record = json.loads(run(fit, log, "--format", "json").output)
    assert record["family"]
    assert all(one["total_time_s"] is None or one["total_time_s"] > 0.95 * 1234.567 for one in record["family"])
    assert "had not ended after 20.6 min" in " ".join(record["said"])


def test_a_dirty_rate_that_a_task_log_says_is_fitted(tmp_path):
    log = tmp_path / "pve.log"
    log.write_text(
        "2026-11-29 10:00:00 starting migration of VM 100 to node 'pve2' (10.0.0.2)\n"
        "2026-11-29 10:00:03 starting online/live migration on unix:/run/qemu-server/100.migrate\n"
        "2026-11-29 10:00:03 migration downtime limit: 100 ms\n"
        "2026-11-29 10:00:04 migration active, transferred 110.5 MiB of 64.0 GiB VM-state, 112.3 MiB/s\n"
        "2026-11-29 10:20:06 migration active, transferred 120.1 GiB of 64.0 GiB VM-state, 111.0 MiB/s, "
        "VM dirties lots of memory: 300.0 MiB/s\n"
    )
    told = run(fit, log).output
    assert "300 MiB written in 1 s" in told
    assert "does not converge, whichever of them it is" in told
    assert "over how long it was counted" in told


def test_three_windows_are_answered_by_one_guest():
    windows = ("60 MiB/s in 0.3 s", "50 MiB/s in 1 s", "3 MiB/s in 60 s")
    arguments = [part for window in windows for part in ("--scalar", window)]
    record = json.loads(run(fit, *arguments, "--memory", "8 GiB", "--format", "json").output)
    assert record["family"] == []
    assert sum(c["region_bytes"] for c in record["guest"]["dirty"]) == pytest.approx(180 * 2**20, rel=0.1)


def test_the_file_is_the_guest(tmp_path):
    guest = Guest(
        memory_bytes=2**20,
        zero_bytes=8192,
        dirty=(DirtyClass(region_bytes=4096, writes_per_s=1 / 3, kind="sweep", phases=((4.0, 1.5), (2.5, 0.0))),),
    )
    guest_file.write(tmp_path / "guest.toml", guest, ['a "comment"\nof two lines\x1b'])
    assert schema.load(tmp_path / "guest.toml").guest == guest


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing was given"),
        (["--scalar", "200 MiB/s in 1 s"], "does not tell the memory"),
        (["--scalar", "fast", "--memory", "8 GiB"], "no rate and window"),
        (["--scalar", "9 GiB/s in 1 s", "--memory", "8 GiB"], "of memory are not zero"),
        (["--scalar", "1 MiB/s in 1 s", "--memory", "8 GiB", "--zero", "8 GiB"], "leave nothing"),
        (["missing.json"], "missing.json"),
        ([POSTCOPY], "no log says what a bitmap sync marked"),
    ],
)
def test_bad_input_is_one_line(arguments, said):
    with pytest.raises(UsageError, match=said) as error:
        run(fit, *arguments)
    assert "\n" not in str(error.value)


def test_calibrate_says_what_it_cannot_tell_and_which_run_to_add():
    told = run(calibrate, PRECOPY).output
    assert "goodput_bytes_per_s: 1 final passes of" in told
    assert "a cap or the link; add a run without a cap" in told


@pytest.mark.parametrize("command", [calibrate, fit])
def test_a_copy_of_a_run_does_not_count_as_another(command, tmp_path):
    copy = tmp_path / "copy.json.gz"
    copy.write_bytes(PRECOPY.read_bytes())
    with pytest.raises(UsageError, match="runs 1 and 2 of 2 hold the same readings"):
        run(command, PRECOPY, copy)


def test_a_constant_that_is_required_and_not_told_fails():
    with pytest.raises(InfeasibleError, match="goodput_bytes_per_s cannot be fitted"):
        run(calibrate, PRECOPY, "--require", "goodput_bytes_per_s")


def test_drift_has_exit_code_1(tmp_path):
    host = tmp_path / "host.toml"
    run(calibrate, POSTCOPY, "-o", host)
    assert "drifted" not in run(calibrate, POSTCOPY, "--check", host).output
    before, _, after = host.read_text().partition("postcopy_bytes_per_s = ")
    host.write_text(f"{before}postcopy_bytes_per_s = 9e8\n{after.partition(chr(10))[2]}")
    with pytest.raises(DriftError, match="postcopy_bytes_per_s drifted") as error:
        run(calibrate, POSTCOPY, "--check", host)
    assert error.value.exit_code == 1


def test_a_dirty_rate_tells_nothing_of_hosts(tmp_path):
    log = tmp_path / "rate.json"
    log.write_text('{"status": "measured", "dirty-rate": 20, "start-time": 1, "calc-time": 1}\n')
    with pytest.raises(MigkitError, match="holds no migration"):
        run(calibrate, log)


def traced(path, name, machine, **rule):
    """Write a trace that ships with another machine and the policy of ``slow``, but for what is named."""
    slow, trace = (io.read(data.data_path(f"traces/{one}.parquet")) for one in ("slow", name))
    scenario = dataclasses.replace(trace.scenario, policy=dataclasses.replace(slow.scenario.policy, **rule))
    io.write(dataclasses.replace(trace, scenario=scenario, machine=trace.machine | machine), path)
    return path


def test_what_all_traces_have_in_common_stands_in_the_file(tmp_path):
    machine, settings = {"qemu_version": "10.0.2", "accelerator": "tcg"}, (("sync_at_threshold", 1.0),)
    traces = [traced(tmp_path / f"{name}.parquet", name, machine, settings=settings) for name in ("slow", "fast")]
    assert "differ" not in run(fit, *traces, "-o", tmp_path / "guest.toml").stderr
    case = schema.load(tmp_path / "guest.toml")
    assert (case.policy.name, case.policy.max_bandwidth_bytes_per_s) == ("qemu-10", 1e8)
    assert (case.policy.downtime_limit_s, case.policy.settings) == (0.3, settings)
    assert (case.host.platform, case.host.firmware_bytes) == ("qemu-tcg", 0)


def test_what_traces_differ_in_is_left_open_and_said(tmp_path):
    one = traced(tmp_path / "a.parquet", "slow", {"accelerator": "tcg"})
    other = traced(tmp_path / "b.parquet", "fast", {"accelerator": "kvm"}, max_bandwidth_bytes_per_s=math.inf)
    said = run(fit, one, other, "-o", tmp_path / "guest.toml").stderr
    assert "the traces differ in cap, platform, so the file leaves that open\n" in said
    written = tomllib.loads((tmp_path / "guest.toml").read_text())
    assert written["policy"] == {"name": "qemu", "downtime_limit": "0.3 s"}
    assert written["host"] == {"firmware": "0 B"}
