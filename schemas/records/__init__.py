"""What a store holds: records, the descriptions of runs, the manifest, names, and the views."""
