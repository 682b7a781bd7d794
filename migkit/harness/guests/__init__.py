"""The guest process: its machine, its writers, its checkpoints, and the proof that it could not tell."""
