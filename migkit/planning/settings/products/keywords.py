"""Every name that a file of libvirt or Proxmox may hold at its top, of whatever subject.

The names of libvirt are those of its own lenses for Augeas and of its later releases' ``qemu.conf.in``; those of
Proxmox are the options of the manual pages ``datacenter.cfg(5)`` and ``qm.conf(5)``. A name of Proxmox whose devices
are counted (``net0``) stands without its number.
"""

from __future__ import annotations

from typing import Final

__all__ = ["DATACENTER", "LIBVIRT", "LIBVIRTD", "QEMU", "VM"]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


QEMU: Final = _words(  # qemu.conf, libvirt 9 to 11
    """
    allow_disk_format_probing auto_dump_bypass_cache auto_dump_path auto_save_bypass_cache
    auto_shutdown_poweroff auto_shutdown_restore auto_shutdown_try_save auto_shutdown_try_shutdown
    auto_shutdown_wait auto_start_bypass_cache backup_tls_priority backup_tls_x509_cert_dir
    backup_tls_x509_secret_uuid backup_tls_x509_verify bridge_helper capability_filters cgroup_controllers
    cgroup_device_acl chardev_tls chardev_tls_priority chardev_tls_x509_cert_dir chardev_tls_x509_secret_uuid
    chardev_tls_x509_verify clear_emulator_capabilities dbus_daemon default_tls_priority
    default_tls_x509_cert_dir default_tls_x509_secret_uuid default_tls_x509_verify deprecation_behavior
    dump_guest_core dump_image_format dynamic_ownership gluster_debug_level group hugetlbfs_mount
    keepalive_count keepalive_interval lock_manager log_timestamp mac_filter max_core max_files max_processes
    max_queued max_threads_per_process memory_backing_dir migrate_tls_force migrate_tls_priority
    migrate_tls_x509_cert_dir migrate_tls_x509_secret_uuid migrate_tls_x509_verify migration_address
    migration_host migration_port_max migration_port_min namespaces nbd_tls nbd_tls_priority
    nbd_tls_x509_cert_dir nbd_tls_x509_secret_uuid nographics_allow_host_audio nvram pr_helper
    rdp_listen rdp_password rdp_tls_x509_cert_dir rdp_username relaxed_acs_check remember_owner
    remote_display_port_max remote_display_port_min remote_websocket_port_max remote_websocket_port_min
    save_image_format sched_core seccomp_sandbox security_default_confined security_driver
    security_require_confined set_process_name shared_filesystems slirp_helper snapshot_image_format
    spice_auto_unix_socket spice_listen spice_password spice_sasl spice_sasl_dir spice_tls
    spice_tls_x509_cert_dir stdio_handler storage_use_nbdkit swtpm_group swtpm_user user virtiofsd_debug
    vnc_allow_host_audio vnc_auto_unix_socket vnc_listen vnc_password vnc_sasl vnc_sasl_dir vnc_tls
    vnc_tls_priority vnc_tls_x509_cert_dir vnc_tls_x509_secret_uuid vnc_tls_x509_verify vxhs_tls
    vxhs_tls_x509_cert_dir vxhs_tls_x509_secret_uuid
    """
)
LIBVIRTD: Final = _words(  # libvirtd.conf
    """
    access_drivers admin_keepalive_count admin_keepalive_interval admin_keepalive_required
    admin_max_client_requests admin_max_clients admin_max_queued_clients admin_max_workers admin_min_workers
    audit_level audit_logging auth_tcp auth_tls auth_unix_ro auth_unix_rw ca_file cert_file crl_file host_uuid
    host_uuid_source keepalive_count keepalive_interval keepalive_required key_file listen_addr listen_tcp
    listen_tls log_filters log_level log_outputs max_anonymous_clients max_client_requests max_clients
    max_queued_clients max_workers min_workers ovs_timeout prio_workers sasl_allowed_username_list tcp_min_ssf
    tcp_port tls_allowed_dn_list tls_no_sanity_certificate tls_no_verify_certificate tls_port tls_priority
    unix_sock_admin_perms unix_sock_dir unix_sock_group unix_sock_ro_perms unix_sock_rw_perms
    """
)
LIBVIRT: Final = ("tls_priority", "uri_aliases", "uri_default")  # libvirt.conf, of clients
DATACENTER: Final = _words(  # datacenter.cfg, Proxmox VE 8 and 9
    """
    bwlimit consent-text console crs description email_from fencing ha http_proxy keyboard language location
    mac_prefix max_workers migration migration_unsecure next-id notify registered-tags replication tag-style u2f
    user-tag-access webauthn
    """
)
VM: Final = _words(  # the file of a virtual machine, Proxmox VE 8 and 9
    """
    acpi affinity agent allow-ksm amd-sev arch args audio autostart balloon bios boot bootdisk cdrom cicustom
    cipassword citype ciupgrade ciuser cores cpu cpulimit cpuunits description efidisk freeze hookscript hostpci
    hostusb hotplug hugepages ide intel-tdx ipconfig ivshmem keephugepages keyboard kvm
    localtime lock machine memory meta migrate_downtime migrate_speed name nameserver net numa onboot ostype
    parallel parent protection reboot rng running-nets-host-mtu runningcpu runningmachine sata scsi scsihw
    searchdomain serial shares smbios smp snaptime sockets spice_enhancements sshkeys startdate startup tablet
    tags tdf template tpmstate unused usb vcpus vga virtio virtiofs vmgenid vmstate vmstatestorage watchdog
    """
)
