"""Which network a source holds, whatever its layers are called there."""
