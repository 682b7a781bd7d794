"""Forecasts of a migration under way, from the counters seen so far."""
