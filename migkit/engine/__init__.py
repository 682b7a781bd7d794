"""The expected-value engine: one migration in expectation, round by round, for one scenario or millions."""
