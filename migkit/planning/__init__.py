"""Answers turned into decisions."""
