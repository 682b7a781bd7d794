assert unique_dirty_pages(hot, 0.1) > 0.8 * 5000
assert round(unique_dirty_pages(hot, 10.0)) == 16_384
rates = [dirty_rate(hot, window_s) for window_s in (0.1, 1.0, 10.0)]
assert rates == sorted(rates, reverse=True)
assert rates[0] > 20 * rates[-1]

verdicts = {name: result.verdict for name, result in explorer.results.items()}
assert set(verdicts.values()) == {"converges", "does_not_converge"}
for guest in explorer.members.values():
    assert abs(unique_dirty_pages(guest, 1.0) / explorer.reading.pages - 1) < 0.01
readings = {name: dirty_rate(guest, 0.3) for name, guest in explorer.members.items()}
ending = [readings[name] for name in readings if verdicts[name] == "converges"]
endless = [readings[name] for name in readings if verdicts[name] != "converges"]
assert max(ending) < min(endless), "the second reading tells them apart"
assert abs(explorer.reading.pages - 20_500) < 500

narrow = [dirty_rate(guest, 0.3) for guest in explorer.members.values()]
spread = max(narrow) / min(narrow)
explorer.window.value = "10 s"
assert explorer.reading.pages / 10 < 20_500
wider = [dirty_rate(guest, 0.3) for guest in explorer.members.values()]
assert max(wider) / min(wider) > spread

explorer.window.value = "1 s"
size, writes, _ = explorer.classes[0]
size.value, writes.value = "1 GiB", 20_000.0
assert explorer.reading.pages > 20_500
assert explorer.results["this guest"].verdict == "converges"
