"""The Linux guest as it is made and as it is booted, without booting it."""

import dataclasses
import shutil
from pathlib import Path, PurePosixPath

import pytest

from migkit.errors import CapabilityError, UsageError
from migkit.qemu.capture import Options, capture
from migkit.qemu.guests import applications
from migkit.qemu.guests.applications import APPLICATIONS, build, opened
from migkit.qemu.guests.booting import GUESTS, Linux
from migkit.scenario import DirtyClass, Guest, Scenario
from migkit.units import GIB, MIB
from tests.conftest import require
from tests.qemu.test_initramfs import unpacked

GUEST = Guest(memory_bytes=384 * MIB)


@pytest.fixture
def made(tmp_path):
    """A folder that holds an image as far as its facts say, for what does not boot it."""
    facts = f'{{"sources": "{applications._sources()}", "packages": {{"redis-server": "1"}}}}'
    (tmp_path / "image.json").write_text(facts)
    return tmp_path


@pytest.mark.live
@pytest.mark.untimed
@pytest.mark.timeout(1200)
def test_the_guests_hold_what_they_run_and_are_the_same_bit_for_bit(linux_image, tmp_path):
    (tmp_path / "again").mkdir()
    shutil.copytree(linux_image / "packages", tmp_path / "again/packages")  # apt fetches nothing anew
    build(tmp_path / "again")
    names = {"image.json", "kernel", *(f"initramfs-{name}" for name in APPLICATIONS)}
    assert {path.name for path in (tmp_path / "again").iterdir()} == {*names, "packages"}
    for name in names:
        assert (tmp_path / "again" / name).read_bytes() == (linux_image / name).read_bytes()


@pytest.mark.live
@pytest.mark.untimed
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", APPLICATIONS)
def test_a_guest_brings_its_own_application_and_no_other(linux_image, name):
    data, one = opened(linux_image).archives[name].read_bytes(), APPLICATIONS[name]
    found = unpacked(data)
    assert {"init", "usr/bin/busybox", "usr/bin/sh", "dev/console"} <= found.keys()
    workers = {path.removeprefix("workers/") for path in found if path.startswith("workers/")}
    assert workers == {name, "agent", "devices", *one.workers}
    for pattern in (*one.programs, *one.files):
        assert any(PurePosixPath(path).match(pattern) for path in found), pattern
    others = {APPLICATIONS[other].programs[-1] for other in APPLICATIONS if other != name}
    assert not [path for path in found if any(PurePosixPath(path).match(other) for other in others)]
    assert "usr/lib64/ld-linux-x86-64.so.2" in found
    assert any(path.endswith("virtio_blk.ko") for path in found)
    assert str(linux_image).encode() not in data


def test_a_folder_without_an_image_is_one_line(tmp_path):
    with pytest.raises(UsageError, match=f"{tmp_path} holds none; make it there with migkit qemu image"):
        opened(tmp_path)


def test_an_image_of_another_version_is_one_line(made):
    facts = made / "image.json"
    facts.write_text(facts.read_text().replace(applications._sources(), "0123456789abcdef"))
    with pytest.raises(UsageError, match="made by another version of migkit; make it anew"):
        opened(made)


def test_no_compiler_is_one_line(tmp_path, monkeypatch):
    require(shutil.which("apt-get"), "no apt; it is a Debian that is needed")
    for tool in ("apt-get", "apt-cache", "dpkg-deb"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CapabilityError, match="gcc is not installed"):
        build(tmp_path / "image")


@pytest.mark.parametrize(
    ("guest", "message"),
    [
        (dataclasses.replace(GUEST, dirty=(DirtyClass(region_bytes=MIB, writes_per_s=1.0),)), "leave page classes"),
        (dataclasses.replace(GUEST, zero_bytes=MIB), "leave page classes and zero memory out"),
        (Guest(memory_bytes=128 * MIB), "128 MiB is not possible; the guest redis has 256 MiB to 3 GiB"),
        (Guest(memory_bytes=4 * GIB), "4 GiB is not possible"),
    ],
)
def test_a_guest_that_it_cannot_be_is_one_line(made, guest, message):
    with pytest.raises(UsageError, match=message):
        capture(Scenario(guest=guest), Options(guest="redis", image=made))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"guest": "redis", "operations_per_s": 0.0}, "operations: 0 a second is out of range"),
        ({"operations_per_s": 5.0}, "operations: the guest bare-metal writes as its page classes say"),
        ({"guest": "mysql"}, f"there is no mysql; use one of {', '.join(GUESTS)}"),
        ({"loads": {"scale": 2}}, "scale: the guest bare-metal writes as its page classes say"),
        ({"guest": "redis", "loads": {"clients": 2}}, "clients: the guest redis has none; leave it out"),
        ({"guest": "postgresql", "loads": {"clients": 65}}, "clients: 65 is out of range; it must be from 1 to 64"),
        ({"guest": "postgresql", "loads": {"scale": 0}}, "scale: 0 is out of range; it must be from 1 to 40"),
    ],
)
def test_options_that_mean_nothing_are_one_line(made, options, message):
    with pytest.raises(UsageError, match=message):
        capture(Scenario(guest=GUEST), Options(image=made, **options))


def drives(options):
    """Return the files of the drives of a machine, which is given them as other processes open them."""
    given = [options[at + 1] for at, word in enumerate(options) if word == "-drive"]
    return [Path(dict(part.split("=") for part in one.split(","))["file"]) for one in given]


@pytest.mark.parametrize(("name", "sizes"), [("redis", [4 * MIB]), ("postgresql", [4 * MIB, 2 * GIB])])
def test_both_sides_boot_the_same_with_disks_that_no_folder_shows(made, name, sizes):
    with Linux(GUEST, name, made, 250.0).options("tcg") as options:
        line = options[options.index("-append") + 1].split()
        assert {f"application={name}", "pace=250", "pti=on"} <= set(line)
        assert options[options.index("-initrd") + 1] == str(made / f"initramfs-{name}")
        disks = drives(options)
        for disk, size in zip(disks, sizes, strict=True):
            with disk.open("r+b") as one, disk.open("rb") as other:
                one.write(b"written")
                one.flush()
                assert other.read(7) == b"written"
                assert other.seek(0, 2) == size
    for disk in disks:
        assert not disk.exists()


def test_the_load_stands_on_the_command_line(made):
    linux = Linux(GUEST, "postgresql", made, loads={"scale": 3, "clients": 8})
    with linux.options("tcg") as options:
        assert {"scale=3", "clients=8"} <= set(options[options.index("-append") + 1].split())
    assert linux.facts() | {"packages": {}} == {
        "name": "postgresql",
        "operations_per_s": None,
        "scale": 3,
        "clients": 8,
        "packages": {},
    }


def test_a_processor_of_its_own_needs_no_workaround(made):
    with Linux(GUEST, "stress-ng", made).options("kvm") as options:
        line = options[options.index("-append") + 1].split()
    assert "application=stress-ng" in line
    assert not {word for word in line if word.startswith(("pti=", "pace="))}
