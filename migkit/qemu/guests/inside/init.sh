#!/bin/sh
# Mounts what a Linux has, loads the modules of its devices, and hands over to the agent and its workers. The kernel's
# command line says which application runs, how many operations a second it does, and how large its load is:
# application=NAME pace=NUMBER scale=NUMBER clients=NUMBER.
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/shm
mount -t tmpfs tmpfs /dev/shm
echo 1 >/proc/sys/vm/overcommit_memory
for module in /modules/*.ko; do insmod "$module"; done
ifconfig lo up
ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
for word in $(cat /proc/cmdline); do
    case $word in
    application=*) application=${word#*=} ;;
    pace=*) export PACE="${word#*=}" ;;
    scale=*) export SCALE="${word#*=}" ;;
    clients=*) export CLIENTS="${word#*=}" ;;
    esac
done
exec /workers/agent "/workers/$application" /workers/devices
