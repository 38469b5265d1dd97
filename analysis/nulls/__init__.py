"""What networks show that have learned nothing: null models of a flow, and what is beyond."""
