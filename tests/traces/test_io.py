import contextlib
import dataclasses
import errno
import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migkit.errors import RunError, TraceError, UsageError
from migkit.traces import io, read, write

QUICK = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


@pytest.fixture
def stored(tmp_path, make_trace):
    return write(make_trace(), tmp_path / "run.parquet")


def one_line(error):
    text = str(error.value)
    assert "\n" not in text
    assert 20 < len(text) < 400
    return text


@QUICK
@given(seed=st.integers(0, 2**32), rounds=st.integers(0, 40), samples=st.integers(1, 200))
def test_a_trace_reads_back_equal(tmp_path, make_trace, seed, rounds, samples):
    trace = make_trace(seed, rounds, samples)
    back = read(write(trace, tmp_path / "run.parquet", force=True))
    assert back == trace
    assert back.samples.schema == trace.samples.schema


def test_different_traces_are_not_equal(make_trace):
    assert make_trace(1) == make_trace(1, provenance=make_trace(1).provenance)
    assert make_trace(1) != make_trace(2)


@QUICK
@given(data=st.data())
def test_any_altered_byte_gives_only_a_trace_error(stored, data):
    raw = bytearray(stored.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] ^= data.draw(st.integers(1, 255))
    broken = stored.with_name("broken.parquet")
    broken.write_bytes(raw)
    if bytes(raw) != stored.read_bytes():
        with pytest.raises(TraceError) as error:
            read(broken)
        one_line(error)


@QUICK
@given(share=st.floats(0, 0.9999))
def test_any_cut_gives_only_a_trace_error(stored, share):
    raw = stored.read_bytes()
    broken = stored.with_name("broken.parquet")
    broken.write_bytes(raw[: int(len(raw) * share)])
    with pytest.raises(TraceError):
        read(broken)


@QUICK
@given(raw=st.binary(max_size=3000))
def test_any_bytes_give_only_a_trace_error(tmp_path, raw):
    path = tmp_path / "noise.parquet"
    for content in (raw, b"PAR1" + raw + b"PAR1"):
        path.write_bytes(content)
        with pytest.raises(TraceError):
            read(path)


def test_the_checksum_alone_makes_no_trace(tmp_path):
    path = tmp_path / "x.parquet"
    path.write_bytes(io._seal(pa.table({"a": [1]}), "{"))
    with pytest.raises(TraceError, match="no readable manifest"):
        read(path)


def changed_manifest(stored, change):
    table = pq.read_table(stored)
    manifest = json.loads(table.schema.metadata[b"migkit"])
    change(manifest)
    path = stored.with_name("changed.parquet")
    path.write_bytes(io._seal(table.replace_schema_metadata(None), json.dumps(manifest)))
    return path


def test_a_manifest_without_an_end_of_brackets_makes_no_trace(tmp_path):
    path = tmp_path / "x.parquet"
    path.write_bytes(io._seal(pa.table({"a": [1]}), "[" * 100_000))
    with pytest.raises(TraceError, match="no readable manifest"):
        read(path)


@pytest.mark.parametrize(("version", "advice"), [(99, "upgrade migkit"), (0, "older migkit"), (None, "older migkit")])
def test_unlike_schema_versions_are_refused_with_what_to_do(stored, version, advice):
    path = changed_manifest(stored, lambda m: m.update(schema_version=version))
    with pytest.raises(TraceError, match=advice) as error:
        read(path)
    assert f"schema version {version}" in one_line(error)


@QUICK
@given(data=st.data())
def test_any_change_of_the_manifest_gives_a_trace_or_a_trace_error(stored, data):
    junk = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    )

    def change(manifest):
        key = data.draw(st.sampled_from([k for k in manifest if k != "schema_version"]))
        inside = manifest[key]
        if isinstance(inside, dict) and inside and data.draw(st.booleans()):
            inside[data.draw(st.sampled_from(sorted(inside)))] = data.draw(junk)
        else:
            manifest[key] = data.draw(junk)

    path = changed_manifest(stored, change)
    with contextlib.suppress(TraceError):
        read(path)


def test_missing_and_unreadable_files(tmp_path):
    with pytest.raises(TraceError, match="No such file") as error:
        read(tmp_path / "none.parquet")
    assert error.value.exit_code == 2
    with pytest.raises(TraceError, match="Is a directory"):
        read(tmp_path)


def test_a_plain_parquet_file_is_no_trace(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "x.parquet")
    with pytest.raises(TraceError, match="without migkit's manifest"):
        read(tmp_path / "x.parquet")


def test_truncated_and_altered_files_are_told_apart(stored):
    raw = stored.read_bytes()
    stored.write_bytes(raw[:-100])
    with pytest.raises(TraceError, match=r"truncated"):
        read(stored)
    stored.write_bytes(raw[:200] + bytes([raw[200] ^ 1]) + raw[201:])
    with pytest.raises(TraceError, match=r"altered"):
        read(stored)


def test_a_file_is_never_overwritten_unasked(stored, make_trace):
    before = stored.read_bytes()
    with pytest.raises(UsageError, match="exists already") as error:
        write(make_trace(1), stored)
    one_line(error)
    assert stored.read_bytes() == before
    write(make_trace(1), stored, force=True)
    assert read(stored).samples == make_trace(1).samples


def test_a_file_that_appears_meanwhile_is_kept(tmp_path, make_trace):
    path = tmp_path / "run.parquet"
    path.write_bytes(b"theirs")
    with pytest.raises(UsageError, match="exists already"):
        io._place(b"ours", path, force=False)
    assert path.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_no_half_file(tmp_path, make_trace, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="No space left on device") as error:
        write(make_trace(), tmp_path / "run.parquet")
    one_line(error)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path, make_trace):
    with pytest.raises(UsageError, match="does not exist"):
        write(make_trace(), tmp_path / "none" / "run.parquet")


def test_provenance_is_kept(stored):
    provenance = read(stored).provenance
    assert {"migkit_version", "created", "python", "kernel", "command", "seed"} <= provenance.keys()


def test_reading_loads_no_pandas(stored):
    import subprocess
    import sys

    code = f"import sys; from migkit.traces import read; read({str(stored)!r}); print('pandas' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False"


def test_a_trace_is_immutable(make_trace):
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_trace().kind = "qemu"
