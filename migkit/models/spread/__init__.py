"""How far real runs lie from a prediction: draws of what is not known, spread evenly, and their quantiles."""
