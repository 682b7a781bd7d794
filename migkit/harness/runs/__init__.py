"""One migration from start to proof, designed experiments, and trackers side by side."""
