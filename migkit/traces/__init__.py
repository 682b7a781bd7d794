"""Traces: what a real run wrote down, and how it is read again."""
