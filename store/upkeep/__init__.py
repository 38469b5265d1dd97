"""Changing and checking what lies in a store: compaction, merging, removal."""
