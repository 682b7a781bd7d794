"""Readers of logs that other tools write; each returns ``(frame, meta)``."""

from migkit.traces.importers.query_migrate import read_query_migrate, read_reference

__all__ = ["read_query_migrate", "read_reference"]
