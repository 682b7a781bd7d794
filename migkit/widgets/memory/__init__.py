"""What happens to memory while it moves: every page, the dirty curve, round after round."""
