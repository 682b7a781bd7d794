import csv
import io
import json
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from migkit.calibrate import save
from migkit.calibrate.fit import Calibration
from migkit.cli import predict, schema
from migkit.errors import InfeasibleError, UsageError
from migkit.scenario import Host

FILE = """
[guest]
memory = "512 MiB"
zero = "192 MiB"
[[guest.dirty]]
region = "64 MiB"
writes_per_s = 10000
[link]
bandwidth = "10 Gbit/s"
[policy]
max_bandwidth = "125 MB/s"
"""
HOPELESS = ["--memory", "1 GiB", "--dirty", 'region = "512 MiB", writes_per_s = 1e6', "--downtime-limit", "10 ms"]
KEYS = {
    "schema_version", "migkit_version", "verdict", "reasons", "total_time_s", "downtime_s", "transferred_bytes",
    "iterations", "remaining_at_switchover_bytes", "natural_downtime_s", "guest_slowdown", "postcopy_faults",
    "rounds", "interval",
}  # fmt: skip


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "scenario.toml"
    file.write_text(FILE)
    return str(file)


def run(*arguments):
    """Return what a command printed on stdout; its errors come through."""
    result = CliRunner().invoke(predict.command, arguments, standalone_mode=False)
    if result.exception is not None and not isinstance(result.exception, InfeasibleError):
        raise result.exception
    return result.stdout


def test_json_has_the_documented_keys(path):
    record = json.loads(run(path, "--format", "json"))
    assert record.keys() >= KEYS
    assert record["verdict"] == "converges"
    assert record["scenario"]["guest"]["memory_bytes"] == 512 << 20
    assert sum(r["sent_bytes"] for r in record["rounds"]) == pytest.approx(record["transferred_bytes"])


def test_flags_alone_say_the_same_as_a_file(path):
    flags = ["--guest-memory", "512 MiB", "--zero", "192 MiB", "--bandwidth", "10 Gbit/s"]
    flags += ["--dirty", 'region = "64 MiB", writes_per_s = 10_000', "--policy-max-bandwidth", "125 MB/s"]
    assert run(*flags, "--format", "json") == run(path, "--format", "json")


def test_a_flag_has_precedence_over_the_file(path):
    record = json.loads(run(path, "--format", "json", "--strategy", "stopcopy", "--tls", "--downtime-limit", "1 s"))
    strategy = record["scenario"]["strategy"]
    assert (strategy["name"], strategy["tls"]) == ("stopcopy", True)
    assert record["scenario"]["policy"]["downtime_limit_s"] == 1.0


def test_csv_and_parquet_hold_one_row_of_the_same_values(path, tmp_path):
    row = next(csv.DictReader(io.StringIO(run(path, "--format", "csv"))))
    assert run(path, "-q", "-o", str(tmp_path / "out.parquet")) == ""
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.num_rows == 1
    assert table.column_names == list(row)
    assert table["total_time_s"][0].as_py() == float(row["total_time_s"])


def test_the_table_names_verdict_and_rounds(path):
    text = run(path)
    assert text.startswith("verdict")
    assert "converges" in text.splitlines()[0]
    assert "round" in text


def test_many_rounds_are_shortened():
    assert "more)" in run(*HOPELESS)


def test_a_file_is_written_whole_or_not_at_all(path, tmp_path):
    with pytest.raises(UsageError) as caught:
        run(path, "-o", str(tmp_path / "absent" / "out.json"))
    assert str(caught.value) == (
        f"output {tmp_path}/absent/out.json: cannot be written (No such file or directory); choose another file"
    )
    run(path, "-o", str(tmp_path / "out.json"))
    assert {entry.name for entry in tmp_path.iterdir()} == {"scenario.toml", "out.json"}


def process(*arguments):
    command = [sys.executable, "-m", "migkit", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_results_go_to_stdout_and_narration_to_stderr(path, tmp_path):
    done = process("predict", path, "-o", str(tmp_path / "out.json"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"wrote {tmp_path}/out.json\n")
    assert process("predict", path, "-o", str(tmp_path / "out.json"), "--quiet").stderr == ""


def test_exit_3_when_it_does_not_converge():
    done = process("predict", *HOPELESS, "--format", "json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["verdict"] == "does_not_converge"
    assert json.loads(done.stdout)["total_time_s"] is None
    assert done.stderr == "migkit: does not converge; the reasons are in the result\n"
    assert process("predict", *HOPELESS, "--quiet").stderr == ""


def test_exit_3_when_it_times_out():
    done = process("predict", *HOPELESS, "--time-limit", "20 s", "--format", "csv")
    assert (done.returncode, done.stderr) == (3, "migkit: timed out; the reasons are in the result\n")


def test_a_reader_that_goes_away_is_no_traceback(path):
    command = f"{sys.executable} -m migkit predict {path} --format json | true"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_predict_loads_no_heavy_library(path):
    code = (
        "import sys; sys.argv = ['migkit', 'predict', sys.argv[1], '-q']\n"
        "from migkit.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(*sorted({'numba', 'pandas', 'scipy', 'plotly', 'rich', 'pyarrow', 'IPython'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""


@pytest.mark.parametrize("kind", ["table", "json", "csv"])
def test_the_schema_is_printed_in_every_format(kind):
    text = CliRunner().invoke(schema.command, ["--format", kind], standalone_mode=False).stdout
    assert "guest.dirty.writes_per_s" in text
    assert "strategy.storage_dirty" in text


def test_a_calibration_brings_the_constants_of_the_hosts(path, tmp_path):
    calibration = Calibration(
        host=Host(setup_s=2.5),
        constants=(),
        standard_errors={},
        covariance=(),
        identified_by={},
        refused={},
        residuals={},
        runs=0,
        kind="harness",
    )
    save(calibration, tmp_path / "host.json")
    plain = json.loads(run(path, "--format", "json"))
    calibrated = json.loads(run(path, "--format", "json", "--calibration", str(tmp_path / "host.json")))
    assert calibrated["scenario"]["host"]["setup_s"] == 2.5
    assert calibrated["total_time_s"] == pytest.approx(plain["total_time_s"] + 2.5, abs=0.2)


def test_the_seed_decides_the_interval_and_nothing_else(path):
    first, again, other = (json.loads(run(path, "--format", "json", "--seed", seed)) for seed in ("1", "1", "2"))
    assert first == again
    assert first["interval"] != other["interval"]
    assert {**first, "interval": None} == {**other, "interval": None}


def test_the_interval_has_the_level_asked_for(path):
    interval = json.loads(run(path, "--format", "json", "--level", "0.5"))["interval"]
    wide = json.loads(run(path, "--format", "json"))["interval"]
    assert (interval["level"], wide["level"]) == (0.5, 0.9)
    assert wide["total_time_s"][0] < interval["total_time_s"][0] < interval["total_time_s"][1]
    with pytest.raises(UsageError, match=r"^predict: level 1 is not a probability; it must be above 0 and below 1$"):
        run(path, "--level", "1")


def test_the_schema_shows_what_each_policy_s_system_can_do():
    text = CliRunner().invoke(schema.command, ["--policies"], standalone_mode=False).stdout
    xen = next(line for line in text.splitlines() if line.startswith("xen "))
    assert xen.split()[1:] == ["no", "no", "no", "yes", "no", "no", "no", "no", "no"]
    rows = json.loads(
        CliRunner().invoke(schema.command, ["--policies", "--format", "json"], standalone_mode=False).stdout
    )
    nova = next(row for row in rows if row["policy"] == "nova-2026.1")
    assert (nova["streams"], nova["streams_option"]) == ("yes", "live_migration_parallel_connections")
    assert all(row["source"].startswith("https://") for row in rows if row["rule"] != "registered in Python")
