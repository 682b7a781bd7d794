"""Thin, typed system calls, and probes of what this machine can do."""
