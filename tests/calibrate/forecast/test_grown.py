"""A log that grows while it is watched."""

import json
import threading

from migkit.calibrate.forecast.grown import Grown


def test_a_log_that_comes_and_goes_is_read_on(tmp_path):
    log, aside = tmp_path / "migration.log", tmp_path / "migration.log.1"
    log.write_text(json.dumps({"status": "active", "total-time": 100, "ram": {"remaining": 4096}}) + "\n")
    grown, over = Grown(log), threading.Event()
    assert grown.log().meta["outcome"] == "under way"

    def rotate():
        while not over.is_set():
            log.rename(aside)
            aside.rename(log)

    rotating = threading.Thread(target=rotate)
    rotating.start()
    try:
        read = [grown._read() for _ in range(20_000)]
    finally:
        over.set()
        rotating.join()
    assert len(set(read)) == 2  # it was there, and it was not
