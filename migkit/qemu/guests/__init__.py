"""Guests whose dirtying is known, built from source when they are needed."""
