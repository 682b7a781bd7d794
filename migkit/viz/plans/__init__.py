"""Pictures of plans and rehearsals: moves over time, load, who blocks, what else could be chosen."""
