"""A function in, a tree of widgets out."""
