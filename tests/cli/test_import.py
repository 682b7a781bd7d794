import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from migkit.cli.import_ import command
from migkit.errors import UsageError
from migkit.importers import read

FIELD = Path(__file__).parents[1] / "importers" / "data" / "field"


def run(*arguments, **options):
    return CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False, **options)


def test_it_says_what_a_log_holds():
    text = run(FIELD / "hmp-old.txt").output
    assert "QEMU's monitor, info migrate" in text
    assert "outcome        completed" in text
    assert "409,589 pages in full, 125,746 zero pages" in text
    assert "104 ms (QEMU counts it at the source" in text
    assert "cannot tell    It has a single reading" in text


def test_several_migrations_are_numbered():
    text = run(FIELD / "two.jsonl", FIELD / "query-dirty-rate.json").output
    assert [line[:3] for line in text.splitlines() if line.startswith("[")] == ["[1]", "[2]", "[3]"]
    assert "1.03 GiB/s over 1 s (page-sampling)" in text


def test_json_holds_the_readings():
    (record,) = json.loads(run(FIELD / "nan-mbps.jsonl", "--format", "json").output)
    assert record["readings"][0]["t_s"] == 5.5
    assert record["readings"][0]["bandwidth_bytes_per_s"] is None
    assert record["unknown"] == {"ram.mbps": "nan (no usable number)"}


def test_standard_input():
    result = run("-", input=(FIELD / "utf16.jsonl").read_bytes())
    assert "5.5 s in all, 2 readings" in result.output


def test_records_are_kept_one_a_migration(tmp_path):
    run(FIELD / "two.jsonl", "-o", tmp_path / "run.parquet")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run-1.parquet", "run-2.parquet"]
    assert read(tmp_path / "run-2.parquet")[0].frame["t_s"].tolist() == [0.1, 5.5]
    with pytest.raises(UsageError, match="never overwritten"):
        run(FIELD / "two.jsonl", "-o", tmp_path / "run.parquet")
    run(FIELD / "two.jsonl", "-o", tmp_path / "run.parquet", "--force")


def test_a_plot_is_one_page(tmp_path):
    run(FIELD / "array.json", "--plot", tmp_path / "plot.html")
    assert "remaining [MiB]" in (tmp_path / "plot.html").read_text()
    with pytest.raises(UsageError, match="nothing to draw"):
        run(FIELD / "proxmox-task-9.log", "--plot", tmp_path / "none.html")


def test_all_problems_are_said_and_what_can_be_read_is_shown(tmp_path):
    (tmp_path / "empty").write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "migkit", "import", tmp_path / "none", FIELD / "array.json", tmp_path / "empty"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "5.5 s in all" in done.stdout
    assert done.stderr.count("\n") == 1
    assert "none: cannot be read" in done.stderr
    assert "empty: nothing in it is of a migration" in done.stderr
