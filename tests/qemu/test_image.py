"""The bare-metal guest is built from source."""

import shutil

import pytest

from migkit.errors import CapabilityError
from migkit.qemu.guests.image import build_guest, guest_image
from tests.conftest import require


def test_the_image_is_the_same_bit_for_bit_wherever_it_is_built(tmp_path):
    require(shutil.which("gcc"), "no gcc; apt-get install gcc")
    images = []
    for name in ("one", "a-longer-name"):
        (tmp_path / name).mkdir()
        images.append(build_guest(tmp_path / name).read_bytes())
    assert images[0] == images[1]
    assert str(tmp_path).encode() not in images[0]


def test_the_image_is_kept_and_built_once(tmp_path, monkeypatch):
    require(shutil.which("gcc"), "no gcc; apt-get install gcc")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = guest_image()
    before = first.stat().st_mtime_ns
    assert guest_image() == first
    assert first.stat().st_mtime_ns == before
    assert [path.name for path in first.parent.iterdir()] == [first.name]


def test_no_compiler_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CapabilityError, match="gcc is not installed"):
        build_guest(tmp_path)
