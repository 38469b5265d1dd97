"""Commands that train what a question lacks, and answer it."""
