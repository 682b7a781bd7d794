"""Models: a scenario in, a frozen result out."""
