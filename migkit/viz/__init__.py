"""A result or a frame in, a plotly figure out."""
