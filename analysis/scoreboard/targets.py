"""An experiment without runs that is predicted from another one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...schemas.blocks import Layer
from ...schemas.errors import UsageError
from ...schemas.recipe import Recipe
from ...schemas.words import listed
from ...store.counts import Counts
from .. import flow
from ..arrays import Floats
from ..nulls.untrained import measured_null_kept, null_kept
from ..window import Window, common_levels


@dataclass(frozen=True)
class Target:
    """An experiment as `rgtool run` makes it; see `studies.targets`.

    Attributes
    ----------
    recipe : Recipe
        Its recipe; its id is that of the runs that test a prediction.
    layers : tuple of Layer
        Its counted layers, as they are built for its data set.
    kept : callable
        Returns the weights that it keeps at levels 0 to a last one; a `UsageError` where it has not
        so many.
    command : str
        What makes it, but for levels, seeds and store.
    """

    recipe: Recipe
    layers: tuple[Layer, ...]
    kept: Callable[[int], Sequence[int]]
    command: str

    @property
    def label(self) -> str:
        """Architecture and task."""
        return f"{self.recipe.architecture}/{self.recipe.task}"

    def groups(self, by: str) -> tuple[str, ...]:
        """Name its groups that are pruned, in their order.

        Raises
        ------
        UsageError
            It has no such groups.
        """
        open_layers = [layer for layer in self.layers if layer.name not in self.recipe.exempt]
        if any(layer.group(by) is None for layer in open_layers):
            raise UsageError(
                f"{self.recipe.architecture} has no {by}s: exponents are predicted by group, name "
                "--by"
            )
        return tuple(dict.fromkeys(str(layer.group(by)) for layer in open_layers))

    def windows(self, source: Window) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return levels of the source and of this over which both lose the same share of weights.

        Where another share is pruned they are those of the first and last density of the window
        that both have, as `scheme.semigroup` compares them.

        Raises
        ------
        UsageError
            It does not reach the end, or no two densities are common.
        """
        theirs, prune = source.counts.recipe.prune, self.recipe.prune
        if prune == theirs:
            self.kept(source.end)
            return source.levels, source.levels
        # The last level that is not below the source's last density, but for rounding.
        last = int(np.log(source.density[-1]) / np.log1p(-prune) + 0.5)
        kept = np.array(self.kept(max(last, 1)), float)
        pairs = common_levels(source.density, kept[1:] / kept[0])
        if len(pairs) < 2:
            raise UsageError(
                f"{self.label} at prune {prune:g} and levels {source.start} to {source.end} of "
                f"{source.counts.label} at prune {theirs:g} have no two densities in common, "
                "between which exponents would compare: more levels of the source, or a share such "
                f"as {1 - (1 - theirs) ** 2:.3g}, two steps in one"
            )
        (a, b), (c, d) = pairs[0].tolist(), pairs[-1].tolist()
        return (source.start + a, source.start + c), (b + 1, d + 1)

    def untrained(
        self, by: str, window: tuple[int, int], source: Window
    ) -> tuple[dict[str, float], str]:
        """Return y of N1 by group over a window of its levels, and why there is none.

        The scales are those of its initialiser. Where that is not known they are those that the
        source's runs have stored, if its layers are the same.
        """
        network = np.array(self.kept(window[1]), float)[list(window)]
        try:
            kept = self._untrained_kept(network, source)
        except UsageError as error:
            return {}, str(error)
        groups = [str(layer.group(by)) for layer in self.layers]
        names = tuple(dict.fromkeys(groups))
        sums = flow.group_sums(kept, flow.group_index(groups, names), len(names))
        y = flow.window_exponents(sums, 0, 1)
        return dict(zip(names, y.reshape(-1, len(names)).mean(axis=0).tolist(), strict=True)), ""

    def _untrained_kept(self, network: Floats, source: Window) -> Floats:
        """Return what N1 keeps in every layer at two levels: (..., 2, L)."""
        recipe, of = self.recipe, source.counts
        try:
            return null_kept(self.layers, recipe.exempt, recipe, network)[0]
        except UsageError:
            if not _starts_alike(self, of) or not source.scales:
                raise
        scales = [{"init": one["init"]} if "init" in one else {} for one in source.scales]
        both = np.tile(network, (len(scales), 1))
        return measured_null_kept(self.layers, recipe.exempt, recipe, both, scales)[0]


def _starts_alike(target: Target, source: Counts) -> bool:
    a, b = target.recipe, source.recipe
    shapes = [[(layer.name, layer.shape) for layer in x.layers] for x in (target, source)]
    return shapes[0] == shapes[1] and (a.init, a.pretrained, a.fan) == (b.init, b.pretrained, b.fan)


def check_groups(target: Target, by: str, names: Sequence[str]) -> None:
    """Hold a target to the groups of its source.

    Raises
    ------
    UsageError
        It lacks one.
    """
    there = target.groups(by)
    if lacking := [name for name in names if name not in there]:
        raise UsageError(
            f"{target.label} has no group {lacking[0]} by {by}: its groups are {listed(there)}"
        )
