"""The Linux guest as it is made and as it is booted, without booting it."""

import dataclasses
import shutil

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
@pytest.mark.timeout(1200)
def test_the_image_holds_what_the_guests_run_and_is_the_same_bit_for_bit(linux_image, tmp_path):
    first = (linux_image / "initramfs").read_bytes()
    found = unpacked(first)
    assert {"init", "usr/bin/busybox", "usr/bin/sh", "dev/console"} <= found.keys()
    assert {f"workers/{name}" for name in (*APPLICATIONS, "agent", "devices")} <= found.keys()
    assert {path for one in APPLICATIONS.values() for path in one.programs} <= found.keys()
    assert "usr/lib64/ld-linux-x86-64.so.2" in found
    assert any(path.endswith("virtio_blk.ko") for path in found)
    assert str(linux_image).encode() not in first
    (tmp_path / "again").mkdir()
    shutil.copytree(linux_image / "packages", tmp_path / "again/packages")  # apt fetches nothing anew
    build(tmp_path / "again")
    for name in ("initramfs", "kernel", "image.json"):
        assert (tmp_path / "again" / name).read_bytes() == (linux_image / name).read_bytes()
    assert {path.name for path in (tmp_path / "again").iterdir()} == {"image.json", "initramfs", "kernel", "packages"}


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
        (Guest(memory_bytes=128 * MIB), "128 MiB is not possible; a Linux guest has 256 MiB to 3 GiB"),
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
    ],
)
def test_options_that_mean_nothing_are_one_line(made, options, message):
    with pytest.raises(UsageError, match=message):
        capture(Scenario(guest=GUEST), Options(image=made, **options))


def test_both_sides_boot_the_same_with_one_disk_that_no_folder_shows(made):
    with Linux(GUEST, "redis", made, 250.0).options("tcg") as options:
        line = options[options.index("-append") + 1].split()
        assert {"application=redis", "pace=250", "pti=on"} <= set(line)
        assert options[options.index("-initrd") + 1] == str(made / "initramfs")
        drive = dict(part.split("=") for part in options[options.index("-drive") + 1].split(","))
        with open(drive["file"], "r+b") as one, open(drive["file"], "rb") as other:  # noqa: PTH123 - as QEMU does it
            one.write(b"written")
            one.flush()
            assert other.read(7) == b"written"
    with pytest.raises(FileNotFoundError):
        open(drive["file"], "rb")  # noqa: PTH123, SIM115


def test_a_processor_of_its_own_needs_no_workaround(made):
    with Linux(GUEST, "stress-ng", made).options("kvm") as options:
        line = options[options.index("-append") + 1].split()
    assert "application=stress-ng" in line
    assert not {word for word in line if word.startswith(("pti=", "pace="))}
