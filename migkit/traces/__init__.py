"""The contract between measuring and fitting: one validated record of one real run, and its file."""

from migkit.traces.io import read, write
from migkit.traces.schema import Outcome, Trace

__all__ = ["Outcome", "Trace", "read", "write"]
