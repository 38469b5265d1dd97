"""Which experiments behave alike: subjects, pairs, clusters, comparisons, predictions."""
