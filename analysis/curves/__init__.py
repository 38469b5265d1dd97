"""Error curves over density: read, joined into families, their scatter, the matching density."""
