from migkit.models.dirty import unique_dirty_pages

assert (shop.memory_bytes, shop.zero_bytes) == (4 * 2**30, 2**30)
assert [(one.region_bytes, one.writes_per_s, one.kind) for one in shop.dirty] == [(512 * 2**20, 25_000, "random")]
assert [(one.region_bytes, one.kind) for one in log_keeper.dirty] == [(3 * 2**30, "sweep")]
readings = [unique_dirty_pages(guest, 1.0) for guest in (shop, log_keeper)]
assert abs(readings[0] / readings[1] - 1) < 1e-6  # the tool reads the same of both
later = [unique_dirty_pages(guest, 10.0) for guest in (shop, log_keeper)]
assert abs(later[1] / later[0] - 1) > 0.5  # and something else at 10 s
assert unique_dirty_pages(shop, 30.0) > 0.99 * 512 * 2**20 / 4096  # it ends at its region
