"""What networks show that have learned nothing: null models of a flow, and the excess over them."""
