"""What is here and is no test."""

collect_ignore_glob = ["claims/*"]  # run as last cells of the notebooks, whose names they use
