"""Constants of an installation, fitted to traces, with their errors."""
