"""The archive is what a kernel unpacks: cpio's format newc, the same bytes for the same files."""

import lzma
import stat

import pytest

from migkit.errors import RunError
from migkit.qemu.guests.initramfs import Archive, matching, modules, resolved

FIELDS = 13


def unpacked(data):
    """Return mode, owner, time, device and content of each member of a newc archive, by path."""
    found, at = {}, 0
    while True:
        assert data[at : at + 6] == b"070701"
        numbers = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(FIELDS)]
        name = data[at + 110 : at + 110 + numbers[11] - 1].decode()
        content_at = (at + 110 + numbers[11] + 3) // 4 * 4
        at = (content_at + numbers[6] + 3) // 4 * 4
        if name == "TRAILER!!!":
            assert at == len(data)
            return found
        content = data[content_at : content_at + numbers[6]]
        found[name] = {"mode": numbers[1], "owner": numbers[2:4], "time": numbers[5], "device": numbers[9:11]}
        found[name]["content"] = content


def filled(order):
    archive = Archive()
    steps = {
        "file": lambda: archive.add("lib/x86_64-linux-gnu/libm.so.6", b"maths", 0o644),
        "program": lambda: archive.add("workers/agent", b"12345"),
        "link": lambda: archive.link("bin/sh", "busybox"),
        "device": lambda: archive.device("dev/console", 5, 1),
        "folder": lambda: archive.folder("proc"),
    }
    for step in order:
        steps[step]()
    return archive


def test_the_same_files_make_the_same_bytes_and_a_kernel_can_read_them():
    first = filled(["file", "program", "link", "device", "folder"]).packed()
    assert first == filled(["folder", "device", "link", "program", "file"]).packed()
    found = unpacked(first)
    assert list(found) == sorted(found)
    assert found["usr/lib/x86_64-linux-gnu/libm.so.6"]["content"] == b"maths"
    assert found["workers/agent"] == {
        "mode": stat.S_IFREG | 0o755,
        "owner": [0, 0],
        "time": 0,
        "device": [0, 0],
        "content": b"12345",
    }
    assert found["lib64"]["content"] == b"usr/lib64"
    assert (found["usr/bin/sh"]["content"], found["usr/bin/sh"]["mode"]) == (b"busybox", stat.S_IFLNK | 0o777)
    assert (found["dev/console"]["mode"], found["dev/console"]["device"]) == (stat.S_IFCHR | 0o600, [5, 1])
    assert {name for name, one in found.items() if stat.S_ISDIR(one["mode"])} == {
        *("dev", "proc", "usr", "usr/bin", "usr/lib", "usr/lib/x86_64-linux-gnu", "workers")
    }


def test_links_mean_what_they_mean_inside_of_the_packages(tmp_path):
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "usr/lib/libm.so.6.1").write_text("maths")
    (tmp_path / "usr/lib/libm.so.6").symlink_to("libm.so.6.1")
    (tmp_path / "usr/lib/loader").symlink_to("/usr/lib/libm.so.6")
    assert resolved(tmp_path, "usr/lib/loader").read_text() == "maths"
    assert resolved(tmp_path, "lib/libm.so.6").read_text() == "maths"  # as newer releases lay it out
    with pytest.raises(RunError, match="hold no usr/lib/libc"):
        resolved(tmp_path, "usr/lib/libc")


def test_patterns_name_files_of_either_layout_and_must_name_some(tmp_path):
    (tmp_path / "sbin").mkdir()
    (tmp_path / "sbin/mke2fs").write_text("")
    (tmp_path / "usr/lib/server/15/bin").mkdir(parents=True)
    (tmp_path / "usr/lib/server/15/bin/postgres").write_text("")
    (tmp_path / "usr/lib/server/15/bin/initdb").symlink_to("postgres")
    patterns = ["sbin/mke2fs", "usr/lib/server/*/bin/init*", "lib/server/*/bin/initdb"]
    found = matching(tmp_path, patterns)
    assert found == ["sbin/mke2fs", *["usr/lib/server/15/bin/initdb"] * 2]
    with pytest.raises(RunError, match=r"hold no usr/lib/server/\*\.sql; this Debian lays it out"):
        matching(tmp_path, ["usr/lib/server/*.sql"])


def test_modules_come_after_what_they_need_packed_or_not(tmp_path):
    (tmp_path / "virtio-ring.ko").write_bytes(b"ring\0depends=\0")
    (tmp_path / "virtio_pci.ko.xz").write_bytes(lzma.compress(b"pci\0depends=virtio_ring,virtio\0"))
    (tmp_path / "virtio.ko").write_bytes(b"virtio\0depends=virtio-ring\0")
    found = modules(["virtio_pci", "built_in"], tmp_path)
    assert [name for name, _ in found] == ["virtio_ring", "virtio", "virtio_pci"]
    assert found[-1][1].startswith(b"pci\0")
