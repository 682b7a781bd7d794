"""The path between the sides: network namespaces, a relay, and faults on purpose."""
