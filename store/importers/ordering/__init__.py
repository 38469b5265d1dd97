"""Which files of a folder are the levels of a run, and in which order."""
