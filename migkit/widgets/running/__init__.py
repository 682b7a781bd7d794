"""Explorers of what runs for real: a migration of the harness, and one of QEMU."""
