"""Importing a folder: which formats there are, what they find, what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ...schemas.block_map import read_blocks
from ...schemas.blocks import canonical
from ...schemas.entry_points import added_names
from ...schemas.errors import (
    Refused,
    StoreError,
    Unreadable,
    UsageError,
    choose,
    known_name,
)
from ...schemas.files import open_file
from ...schemas.published_recipes import PUBLISHED
from ...schemas.recipe import CHOICES, INITIALISERS
from ...schemas.records.names import check_in_label
from ...schemas.tables import is_table
from ...schemas.tensors.contents import open_contents
from ...schemas.tensors.torch_files import ZIP
from .arrivals.ingest import ingest
from .arrivals.notes import with_moves
from .arrivals.rehearsal import rehearsed
from .arrivals.staging import Staging
from .formats import (
    bert_tickets,
    contrastive,
    cv_lth,
    numpy_masks,
    openlth,
    pickled_lists,
    safetensors_masks,
    tables,
    torch_prune,
)
from .found import Found, FoundRun, Skipped, contained, failure
from .packages import GROUP, find_added
from .report import Choices, ImportedRun, ImportReport
from .tree import PLAINLY, Reading, Tree, walk

# In this order: the formats whose layout says most come first, and take their files away.
FORMATS: dict[str, Callable[[Tree], Found]] = {
    openlth.FORMAT: openlth.find,
    cv_lth.IMAGENET: cv_lth.find_imagenet,
    cv_lth.FORMAT: cv_lth.find,
    cv_lth.PRAC: cv_lth.find_prac,
    contrastive.MOCO: contrastive.find_moco,
    contrastive.SIMCLR: contrastive.find_simclr,
    bert_tickets.FORMAT: bert_tickets.find,
    safetensors_masks.FORMAT: safetensors_masks.find,
    torch_prune.FORMAT: torch_prune.find,
    pickled_lists.FORMAT: pickled_lists.find,
    numpy_masks.FORMAT: numpy_masks.find,
    tables.FORMAT: tables.find,
}
ALIASES = {"elasticlth": openlth.FORMAT, "pth": torch_prune.FORMAT, "csv": tables.FORMAT}
_STORE = "a store of rgtool: name it with --store, or bring it in with rgtool merge"
KEEP = ("init", "rewind", "dense")
# What may be a checkpoint: named when no format takes it.
_CHECKPOINT_SUFFIXES = (
    ".pt", ".pth", ".th", ".tar", ".ckpt", ".safetensors", ".pkl", ".bin", ".h5", ".hdf5",
)  # fmt: skip
# How files of torch and pickles begin, and what else may hold one.
_SAVED = (ZIP, b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_GZIP, _HEAD = b"\x1f\x8b", 512


@dataclass(frozen=True)
class Survey:
    """What was found before anything is imported."""

    runs: tuple[FoundRun, ...]
    skipped: tuple[Skipped, ...]

    @property
    def levels(self) -> int:
        """Levels of all runs."""
        return sum(len(run.levels) for run in self.runs)


def survey(
    paths: str | Path | Iterable[str | Path],
    format: str | None = None,
    reading: Reading = PLAINLY,
) -> Survey:
    """Find the runs under some paths; files are read where names do not tell the levels.

    Raises
    ------
    UsageError
        A path does not exist, or there is no such format.
    """
    formats = _chosen(format)
    runs: list[FoundRun] = []
    skipped: list[Skipped] = []
    left: list[Path] = []
    paths = [paths] if isinstance(paths, str | Path) else [*paths]
    for path in paths:
        tree = walk(Path(path), reading)
        skipped += tree.skipped
        own = _own(tree)
        skipped += own.skipped
        tree = tree.without(own.claimed)
        found = _found(tree, formats)
        if format is None and not found.runs:
            theirs = _found(tree, _added_formats())
            more = (*found.skipped, *theirs.skipped)
            found = theirs if theirs.runs else replace(found, skipped=more)
        runs += found.runs
        skipped += found.skipped
        left += tree.without(found.claimed).files
    alone = format is None and not runs  # else tables and arrays are notes beside the checkpoints
    skipped += [
        Skipped(str(file), _unclaimed(file, format))
        for file in left
        if file.name.lower().endswith(_CHECKPOINT_SUFFIXES) and not (alone and _is_array(file))
    ]
    if not runs:
        told = {one.path for one in skipped}
        skipped += _others([file for file in left if str(file) not in told])
        told = {one.path for one in skipped}
        given = {Path(one).expanduser().absolute() for one in paths}
        skipped += [
            Skipped(str(file), _unclaimed(file, format))
            for file in left
            if file in given and str(file) not in told
        ]
    return Survey(tuple(runs), tuple(skipped))


def _found(tree: Tree, formats: Mapping[str, Callable[[Tree], Found]]) -> Found:
    """Let formats look at a tree, each at what the ones before it leave."""
    runs: list[FoundRun] = []
    skipped: list[Skipped] = []
    left = tree
    for find in formats.values():
        with contained(tree.root, skipped):
            found = find(left)
            runs += found.runs
            skipped += found.skipped
            left = left.without(found.claimed)
    return Found(tuple(runs), frozenset(tree.files) - frozenset(left.files), tuple(skipped))


def _own(tree: Tree) -> Found:
    """Find stores of rgtool: they need no import, and their masks are not those of others."""
    runs = {path.parent.parent for path in tree.files if path.name == "run.json"}
    stores = {folder.parent for folder in runs if folder.name == "runs"}
    # Once compacted the descriptions are one file.
    merged = {path.parent for path in tree.files if path.name.startswith("descriptions-")}
    stores |= {folder.parent for folder in merged if folder.name == "compact"}
    parts = {store / part for store in stores for part in ("runs", "compact")}
    claimed = frozenset(path for path in tree.files if not parts.isdisjoint(path.parents))
    return Found(
        claimed=claimed, skipped=tuple(Skipped(str(one), _STORE) for one in sorted(stores))
    )


def import_runs(
    store: Path,
    found: Survey,
    choices: Choices,
    on_level: Callable[[FoundRun, int], None] | None = None,
) -> ImportReport:
    """Bring what was found into a store.

    Raises
    ------
    StoreError
        The store cannot be written, or the disk is full. Once something is in, that ends the
        import and is told among what is skipped.
    """
    done: dict[int, ImportedRun] = {}  # by identity, which is all that tells runs as found apart
    skipped = list(found.skipped)
    with Staging(store) as staging:
        for run in sorted(found.runs, key=lambda run: run.parent is not None):
            level = partial(on_level, run) if on_level else lambda _: None
            parent = done.get(id(run.parent))
            with contained(run.path, skipped, run.part):
                try:
                    done[id(run)] = ingest(staging, run, choices, level, parent)
                except OSError as error:  # what reads a source says so by other errors
                    problem = f"{store}: cannot be written ({error}): no run is half there"
                    if not any(one.new or one.corrected for one in done.values()):
                        raise StoreError(problem) from None
                    problem += "; runs after it were not tried: import again when it can be written"
                    skipped.append(Skipped(str(run.path), problem))
                    break  # what came in before is to be told
    told = dict(zip(done, with_moves(store, [*done.values()]), strict=True))
    runs = (told[id(run)] for run in found.runs if id(run) in told)
    return ImportReport(tuple(runs), tuple(skipped))


def rehearse(
    store: Path,
    found: Survey,
    choices: Choices,
    on_level: Callable[[FoundRun, int], None] | None = None,
) -> ImportReport:
    """Say what `import_runs` would do: all of it is done to a copy of the store, which then goes.

    Raises
    ------
    StoreError
        The store cannot be read, or temporary files cannot be written.
    """
    try:
        with rehearsed(store) as copy:
            return replace(import_runs(copy, found, choices, on_level), dry_run=True)
    except OSError as error:
        raise StoreError(f"a dry run takes temporary files: {failure(error)}") from None


def choices(
    *,
    name: str | None = None,
    task: str | None = None,
    architecture: str | None = None,
    recipe: str | None = None,
    init: str | None = None,
    fan: str | None = None,
    blocks: str | Path | None = None,
    keep: Sequence[str] = (),
) -> Choices:
    """Hold what the user says to what there is.

    Raises
    ------
    UsageError
        An unknown recipe, initialiser or kind of weights, or no block map.
    """
    if recipe is not None:
        recipe = choose("recipe", recipe, PUBLISHED)
    if architecture is not None:
        architecture = canonical(architecture)
    if init is not None:
        init = choose("initialiser", init, INITIALISERS)
    if fan is not None:
        fan = choose("fan", fan, CHOICES["fan"])
    keep = [choose("keep", what, KEEP) for what in keep]
    for option, value in (("name", name), ("task", task), ("architecture", architecture)):
        if value is not None and (not value.strip() or not value.isprintable()):
            raise UsageError(f"{option} '{value}' is no name: give a word")
        if value is not None and option != "name":
            check_in_label(option, value)
    read = read_blocks(Path(blocks)) if blocks is not None else None
    return Choices(name, task, architecture, recipe, init, fan, read, tuple(keep))


def _chosen(format: str | None) -> dict[str, Callable[[Tree], Found]]:
    if format is None:
        return FORMATS
    format = ALIASES.get(known_name(format, ALIASES) or "", format)
    if (own := known_name(format, FORMATS)) is not None:
        return {own: FORMATS[own]}
    theirs = choose("format", format, (*FORMATS, *added_names(GROUP)))
    return {theirs: partial(find_added, theirs)}


def _added_formats() -> dict[str, Callable[[Tree], Found]]:
    """Return the formats that packages add, under names that rgtool itself does not have."""
    own = (*FORMATS, *ALIASES)
    names = [name for name in added_names(GROUP) if known_name(name, own) is None]
    return {name: partial(find_added, name) for name in names}


def _unclaimed(file: Path, format: str | None) -> str:
    if format is not None:
        return f"not part of a run in the format {format}"
    try:
        open_contents(file)
    except (Unreadable, Refused) as error:  # a pointer, a page, a file of another library
        return failure(error).removeprefix(f"{file}: ")
    return "no format known here: see docs/importing.md for the layouts"


def _others(files: Sequence[Path]) -> list[Skipped]:
    """Say of tables and of arrays why they are no runs."""
    found = [Skipped(str(f), tables.OTHER) for f in files if is_table(f.name)]
    arrays = numpy_masks.alike(file for file in files if _is_array(file))
    found += [Skipped(str(some[-1]), numpy_masks.why_not(some[-1])) for some in arrays]
    rest = [file for file in files if not (is_table(file.name) or _is_array(file))]
    reasons = {some[-1]: _misnamed(some[-1]) for some in numpy_masks.alike(rest)}
    return found + [Skipped(str(file), reason) for file, reason in reasons.items() if reason]


def _misnamed(file: Path) -> str | None:
    """Say what a file is whose name has an ending that nobody looks for."""
    try:
        with open_file(file) as stream:
            head = stream.read(_HEAD)
        if head.startswith(_SAVED):
            return "begins as files of torch do: name it .pt (.npz where numpy wrote it)"
        if head[8:10] == b'{"':
            return "begins as safetensors do: name it .safetensors"
        if head.startswith(_GZIP):
            return "packed with gzip: unpack it first, or name it .pt.gz where torch wrote it"
        columns = head.decode(errors="replace").partition("\n")[0].lower()
    except OSError as error:
        return failure(error)
    return "a table of counts: name it .csv" if all(c in columns for c in tables.REQUIRED) else None


def _is_array(file: Path) -> bool:
    return file.name.endswith(numpy_masks.SUFFIXES)
