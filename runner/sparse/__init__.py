"""Training that costs what it keeps: compiled kernels over lists of the kept weights (CPU)."""

from .executor import Executor, unserved
from .library import Missing, describe, library

__all__ = ["Executor", "Missing", "describe", "library", "unserved"]
