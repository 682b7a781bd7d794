#!/bin/sh
# Runs of stress-ng on a sixth of memory, which it fills with patterns and compares with them.
kib=$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)
exec /workers/rounds 16 "runs of stress-ng, each verified by itself" "" \
    stress-ng --vm 1 --vm-bytes $((kib / 6))k --vm-method rand-set --vm-ops 16 --verify --temp-path /tmp --quiet
