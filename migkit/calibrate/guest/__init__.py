"""The guest behind a log, a trace, a profile or a reading: its rounds, its dirty curve, its page classes."""
