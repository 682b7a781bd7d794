"""The hypervisor lab: real virtual machines under QEMU."""
