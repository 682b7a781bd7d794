from migkit import predict

assert as_installed["qemu", "precopy"].verdict == "does_not_converge"
assert as_installed["ovirt", "precopy"].verdict == "aborted"
assert any("default cap of 128 MiB/s" in reason for reason in as_installed["qemu", "precopy"].reasons)

assert all(result.verdict == "converges" for result in alike.values())
quick = [result for (name, _), result in alike.items() if name in ("qemu", "libvirt", "nova", "kubevirt", "xen")]
totals, downs = [one.total_time_s for one in quick], [one.downtime_s for one in quick]
assert max(totals) < 1.3 * min(totals)
assert max(downs) > 3 * min(downs)
assert 0.25 < alike["libvirt", "precopy"].downtime_s < 0.35
assert "whatever the downtime" in alike["xen", "precopy"].reasons[0]

found = compare(guest=busy, link=link, policies=names, strategies="all", level=None)
assert found["libvirt", "precopy"].verdict == "does_not_converge"
assert found["libvirt", "postcopy"].downtime_s < 0.1
assert ("proxmox", "postcopy") not in found
assert predict(guest=busy, link=link, policy=Policy.named("vmware-like"), level=None).verdict == "converges"
