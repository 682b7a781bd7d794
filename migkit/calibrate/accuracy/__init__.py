"""How well predictions agree with what was measured, on every data set that ships: one loader a data set."""
