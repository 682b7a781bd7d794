"""Packages come from apt, by itself, or it is said why not."""

import re
import shutil

import pytest

from migkit.errors import CapabilityError, RunError
from migkit.qemu.guests.debian import Package, check_debian, closure, fetch, unpack
from tests.conftest import require


@pytest.fixture
def apt(tmp_path, monkeypatch):
    """Have apt read a configuration of this test."""
    require(shutil.which("apt-get"), "no apt; it is a Debian that is needed")

    def configure(*lines):
        place = tmp_path / "apt.conf"
        place.write_text("\n".join(lines))
        monkeypatch.setenv("APT_CONFIG", str(place))

    return configure


@pytest.mark.parametrize(
    ("text", "name"),
    [('ID=fedora\nPRETTY_NAME="Fedora Linux 43"\n', "Fedora Linux 43"), ("", "an unknown system")],
)
def test_another_distribution_is_one_line(tmp_path, text, name):
    (tmp_path / "os-release").write_text(text)
    with pytest.raises(CapabilityError, match=f"runs {name} on .*packages of Debian for x86_64"):
        check_debian(tmp_path / "os-release")


def test_no_apt_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "os-release").write_text("ID=debian\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CapabilityError, match="apt-get is not installed"):
        check_debian(tmp_path / "os-release")


def test_an_apt_without_lists_is_one_line(apt, tmp_path):
    (tmp_path / "lists").mkdir()
    (tmp_path / "status").write_text("")
    apt(
        f'Dir::State::lists "{tmp_path / "lists"}";', f'Dir::State::status "{tmp_path / "status"}";', 'Dir::Cache "";'
    )
    with pytest.raises(RunError, match="apt knows no package busybox-static; run apt-get update"):
        closure(["busybox-static"])


def test_an_apt_without_network_is_one_line(apt, tmp_path):
    apt('Acquire::http::Proxy "http://127.0.0.1:9";', 'Acquire::https::Proxy "http://127.0.0.1:9";')
    found = closure(["busybox-static"])
    with pytest.raises(RunError, match=r"apt could not fetch 1 packages .*127\.0\.0\.1.*check the network"):
        fetch(found.values(), tmp_path / "packages")


def test_libraries_are_followed_and_nothing_else(apt):
    apt()
    found = closure(["redis-tools"])
    assert {"libc6", "libssl3", "redis-tools"} <= found.keys() or {"libc6", "redis-tools"} <= found.keys()
    assert {one.section.split("/")[-1] for name, one in found.items() if name != "redis-tools"} == {"libs"}


def test_a_package_that_names_the_version_of_a_database_leads_to_it(apt):
    apt()
    found = closure(["postgresql"])
    assert any(re.fullmatch(r"postgresql-\d+", name) for name in found)
    assert "perl" not in found


def test_a_file_that_is_no_package_is_one_line(tmp_path):
    require(shutil.which("dpkg-deb"), "no dpkg-deb; it is a Debian that is needed")
    (tmp_path / "a.deb").write_text("not one")
    with pytest.raises(RunError, match=r"a\.deb cannot be unpacked .*remove it"):
        unpack([tmp_path / "a.deb"], tmp_path / "root")


def test_a_package_is_named_as_apt_names_its_file(apt, tmp_path):
    apt('Acquire::http::Proxy "http://127.0.0.1:9";')
    one = Package(name="nothing-of-that-name", version="1:2.0-3", section="libs", needs=())
    with pytest.raises(RunError, match="nothing-of-that-name"):
        fetch([one], tmp_path)
