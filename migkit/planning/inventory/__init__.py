"""Machines and hosts as people have them: read from any table, checked, all wrong rows at once."""

from migkit.planning.inventory.examples import EXAMPLES, busy, example
from migkit.planning.inventory.fleet import Inventory, read_machines
from migkit.planning.inventory.problems import InventoryError, Problem

__all__ = ["EXAMPLES", "Inventory", "InventoryError", "Problem", "busy", "example", "read_machines"]
