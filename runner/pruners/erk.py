"""Erdős-Rényi kernel: random weights, at densities that follow from the shapes of the layers.

Evci et al. 2020 (RigL, arXiv 1911.11134), section 3, and `rigl/sparse_utils.py`, lines 90-205: layer
l keeps the share min(1, eps raw_l), with raw_l = (sum of the dimensions of its weight) / (their
product) and eps such that the network has its density.

A weight with random number u in (0, 1) is kept where u < min(1, eps raw_l), that is where
raw_l / u > 1 / eps: one ranking of all weights, in which eps need not be known. The numbers of a
layer of N weights are (1/2, 3/2, ...) / N in random order, so that shares are met to a weight.
"""

from __future__ import annotations

import numpy as np
import torch

from ..pruning import Scores
from .scoring import Scoring


def scores(scoring: Scoring) -> Scores:
    """Return raw_l / u of every weight that is kept, 0 of the others."""
    found = {}
    for name, kept in scoring.mask.items():
        raw = sum(kept.shape) / kept.size
        order = torch.randperm(int(kept.sum()), generator=scoring.generator).numpy()
        found[name] = np.zeros(kept.shape)
        found[name][kept] = raw * kept.size / (order + 0.5)
    return found
