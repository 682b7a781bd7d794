"""Readers of what other tools log about migrations.

A record says what the log holds, names what migkit does not know, and says what the log cannot tell.

>>> log = read("Migration status: active\\ntotal time: 900 ms\\nremaining ram: 2048 kbytes\\n")[0]
>>> log.meta["outcome"], float(log.frame["remaining_bytes"].iloc[0])
('under way', 2097152.0)
"""

from migkit.importers.findings import Log
from migkit.importers.recognise import read
from migkit.importers.tools.reference import read_reference
from migkit.importers.traces import of_trace, write

__all__ = ["Log", "of_trace", "read", "read_reference", "write"]
