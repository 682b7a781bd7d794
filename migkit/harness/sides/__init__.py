"""The two sides of a migration: source and destination, and post-copy at either."""
