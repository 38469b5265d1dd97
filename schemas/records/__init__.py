"""The files of a store and what they say: records, runs, the manifest, names; and the views."""
