"""``migkit advise``."""

import json

import pytest
from click.testing import CliRunner

from migkit.cli import advise
from migkit.errors import InfeasibleError, UsageError
from migkit.planning.settings.catalogue import PRODUCTS

GUEST = ("--memory", "4 GiB", "--dirty", 'region = "256 MiB", writes_per_s = 3000', "--link-bandwidth", "1 Gbit/s")


def run(*arguments):
    """Return what the command printed on stdout; its errors come through."""
    result = CliRunner().invoke(advise.command, arguments, standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_the_text_can_be_pasted_and_says_where_and_why():
    printed = run(*GUEST, "--for", "nova", "--max-total-time", "5 min")
    assert "[libvirt]\nlive_migration_bandwidth = " in printed
    assert "--- /etc/nova/nova.conf" in printed
    assert "MiB/s" in printed
    assert "docs.openstack.org" in printed
    assert "Note: compression" in printed


def test_json_has_settings_units_sources_and_the_prediction():
    record = json.loads(run(*GUEST, "--for", "proxmox", "--format", "json"))
    assert record["units"]["migration"] == "KiB/s"
    assert record["result"]["verdict"] == "converges"
    assert record["sources"].keys() == record["settings"].keys()


def test_the_commands_choices_are_the_products():
    assert set(advise._PRODUCTS) == set(PRODUCTS)


def test_exit_code_3_where_nothing_does():
    with pytest.raises(InfeasibleError, match="nothing that incus") as error:
        run(*GUEST, "--for", "incus", "--max-total-time", "1 s")
    assert error.value.exit_code == 3


def test_a_bare_number_is_refused():
    with pytest.raises(UsageError, match="--max-downtime"):
        run(*GUEST, "--for", "nova", "--max-downtime", "5")
