"""The checks by name: what `check` in claims.toml may say."""

from __future__ import annotations

from collections.abc import Callable

from . import elastic, flow, null, signs, theory
from .claim import Finding

# fmt: off
CHECKS: dict[str, Callable[..., Finding]] = {check.__name__: check for check in (
    theory.gammas, theory.two_laws, theory.two_forms, theory.two_signs, theory.gamma_ratio,
    flow.density_after, flow.residual_blocks, flow.dimension, flow.start_sums,
    flow.start_levels, flow.start_tasks, flow.first_step, flow.sums_of_powers,
    flow.replicator_means, flow.drift, flow.layer_indices, flow.sum_from_dense,
    flow.upper_bound, flow.both_sides, flow.room_for_the_rest,
    signs.leading_signs, signs.relevant_sets, signs.equal_exponents, signs.tasks_differ,
    signs.criterion, signs.mostly_below, signs.all_signs, signs.all_marginal,
    signs.transfers, signs.transfers_need_equal_sets, signs.best_source,
    null.beside_untrained, null.flat_without_training,
    elastic.block_counts, elastic.only_relevant, elastic.not_all_relevant,
    elastic.mismatch_foretells, elastic.early_blocks, elastic.relevant_made,
    elastic.only_one_exceeds, elastic.most_orderings, elastic.signs_of_later_stages,
    elastic.fewer_relevant_later, elastic.weakest_source,
)}
# fmt: on
