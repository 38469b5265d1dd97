"""What the data means: the record, the recipe, the block maps and the SQL views."""
