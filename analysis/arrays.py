"""Names of the array types that annotations use, and how many numbers are held at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]
AT_ONCE = 4_000_000  # numbers drawn or compared at once: 32 MB
