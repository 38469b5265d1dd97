"""What a store holds: selected, listed, named and compared."""
