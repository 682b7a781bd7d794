"""When a migration goes on, syncs, switches over, throttles, goes post-copy or gives up: one module a family."""
