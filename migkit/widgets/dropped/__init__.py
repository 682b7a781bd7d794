"""Explorers of what people drop on a page: logs and inventories."""
