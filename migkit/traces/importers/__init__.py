"""Readers of logs that other tools write; each returns ``(frame, meta)``."""
