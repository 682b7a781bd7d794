"""How a page becomes fewer bytes: compression, and differences from what was sent before."""
