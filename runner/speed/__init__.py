"""How fast an experiment is: measured, bounded and foretold."""
