"""What is trained on a target, by name."""

from __future__ import annotations

OWN, TRANSFERRED, SHUFFLE = "own", "transferred", "shuffle"
# Ways to train, and what is trained on the target.
CONDITIONS = {
    OWN: "the target's own tickets",
    TRANSFERRED: "masks and rewind weights of the source",
    SHUFFLE: "its masks, each layer's shuffled, with its weights",
    "random": "random masks of as many weights in all, with its weights",
    "reinit": "its masks with other initial weights",
    "permute": "its masks, the kept weights of each layer permuted",
    "pixels": "the source's tickets, the first layer permuted as the pixels of the target are",
}
