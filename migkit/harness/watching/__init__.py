"""Inside a program that is watched: a visit that undoes itself, and a keeper that outlives its owner."""
