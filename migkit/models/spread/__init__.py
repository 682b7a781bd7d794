"""How far real runs lie from a prediction: draws of what is not known, on a lattice, and their quantiles."""
