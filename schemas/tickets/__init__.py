"""What can become of the tickets of an experiment, as values with one spelling each."""
