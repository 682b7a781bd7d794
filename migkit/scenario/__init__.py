"""What is moved, over what, by which rule: frozen, validated records and their file schema."""

from migkit.scenario.dirty import DirtyClass
from migkit.scenario.guest import Guest
from migkit.scenario.installation.host import Host
from migkit.scenario.link import Link
from migkit.scenario.policy import Policy
from migkit.scenario.scenario import Scenario
from migkit.scenario.strategy import Strategy

__all__ = ["DirtyClass", "Guest", "Host", "Link", "Policy", "Scenario", "Strategy"]
