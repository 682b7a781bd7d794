"""Settings of hypervisors and managers: advice that people can paste, and what is wrong with what they have."""
