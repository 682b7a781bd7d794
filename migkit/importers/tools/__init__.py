"""One module a tool or family of tools: what its lines, objects and samples say."""
