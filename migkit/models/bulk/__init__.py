"""Many scenarios at once: rows of a frame, or the points of a curve."""
