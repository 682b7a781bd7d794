"""Which pages were written: trackers of a guest, and the dirty curve of any program."""
