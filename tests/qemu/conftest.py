"""The Linux guest, made once a session."""

import shutil

import pytest

from migkit.errors import CapabilityError, RunError
from migkit.qemu.guests import applications, debian
from tests.conftest import require


@pytest.fixture(scope="session")
def linux_image(tmp_path_factory):
    """A folder with the image; it needs a Debian whose apt has a network."""
    require(shutil.which("gcc"), "no gcc; apt-get install gcc libc6-dev")
    folder = tmp_path_factory.mktemp("linux")
    try:
        debian.check_debian()
        applications.build(folder)
    except CapabilityError as error:
        require(False, str(error))
    except RunError as error:
        if not str(error).startswith("image: apt "):
            raise
        require(False, str(error))
    return folder
