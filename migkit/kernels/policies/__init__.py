"""Decision functions, one module a family: QEMU, its managers, other hypervisors, throttling."""
