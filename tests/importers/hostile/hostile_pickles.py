"""Cases that execute code: programs x containers x places."""

from __future__ import annotations

import dataclasses
import functools
import gzip
import io
import itertools
import pickle
import pickletools
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from hostile_case import EVERY_LEVEL, Case, executing, without
from hostile_layouts import LAYOUTS, TORCH_LAYOUTS, Layout, openlth_folder
from hostile_programs import PROGRAMS, Program, Reduces, call, name, pack, text, whole

Put = Callable[[Path, bytes], None]


def entries(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {entry: archive.read(entry) for entry in archive.namelist()}


def write_zip(path: Path, items: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", method) as archive:
        # Two entries of one name are what some cases are about.
        warnings.simplefilter("ignore", UserWarning)
        for entry, data in items:
            archive.writestr(entry, data)


def before(program: bytes, pickled: bytes) -> bytes:
    """Run `program`, drop its result, go on with the genuine pickle."""
    body = pickled[2:] if pickled[:1] == b"\x80" else pickled
    return b"\x80\x04" + program + b"0" + body


def into_zip(path: Path, program: bytes) -> None:
    items = entries(path)
    write_zip(path, [(entry, before(program, data) if entry.endswith("/data.pkl") else data)
                     for entry, data in items.items()])  # fmt: skip


def into_plain(path: Path, program: bytes) -> None:
    path.write_bytes(before(program, path.read_bytes()))


def into_legacy(path: Path, program: bytes, part: int = 3) -> None:
    """Save as torch before 1.6 did, the program before one of its five pickles."""
    buffer = io.BytesIO()
    loaded = torch.load(path, weights_only=True)
    torch.save(loaded, buffer, _use_new_zipfile_serialization=False)
    data = buffer.getvalue()
    ends = [0]
    for _ in range(5):
        stream = io.BytesIO(data[ends[-1] :])
        for _ in pickletools.genops(stream):
            pass
        ends.append(ends[-1] + stream.tell())
    parts = [data[a:b] for a, b in itertools.pairwise(ends)]
    parts[part] = before(program, parts[part])
    path.write_bytes(b"".join(parts) + data[ends[-1] :])


def into_gzip(path: Path, program: bytes) -> None:
    into_zip(path, program)
    path.write_bytes(gzip.compress(path.read_bytes()))


def into_tar(path: Path, program: bytes, part: str = "pickle") -> None:
    """The tar format of torch 0.1: three members, each a row of pickles."""
    zero = pickle.dumps(0, protocol=2)
    members = {"storages": zero + pickle.dumps([], protocol=2), "tensors": zero,
               "pickle": pickle.dumps({}, protocol=2)}  # fmt: skip
    members[part] = before(program, members[part])
    with tarfile.open(path, "w:") as archive:
        for member, data in members.items():
            info = tarfile.TarInfo(member)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def spliced(layout: Layout, place: str, program: Program, put: Put) -> Callable[[Path, Path], None]:
    def write(folder: Path, marker: Path) -> None:
        layout.write(folder)
        put(folder / place, program(str(marker)))

    return write


def case(
    id_: str, mechanism: str, layout: Layout, place: str, program: Program, put: Put,
    loader: str = "torch_file", *, aside: bool = False,
) -> Case:  # fmt: skip
    return Case(
        id=f"{id_}-{layout.name}",
        mechanism=mechanism,
        layout=layout.name,
        write=spliced(layout, place, program, put),
        fires=executing(loader, place),
        culprit=Path(place).name,
        executes=True,
        # An importer need not read what lies aside; what it does not read cannot refuse the run.
        may_import=aside,
        sound_levels=EVERY_LEVEL if aside else frozenset(),
    )


def _program_cases() -> Iterator[Case]:
    """Every program in a zip, in the legacy format and in a bare pickle, at rotating places."""
    turns = itertools.cycle(TORCH_LAYOUTS.values())
    for turn, (id_, (mechanism, program)) in enumerate(PROGRAMS.items()):
        for container, put in (("zip", into_zip), ("legacy", into_legacy)):
            layout = next(turns)
            level = layout.levels[turn % len(layout.levels)]
            place = layout.place(level)
            yield case(f"{id_}-{container}-{level}", mechanism, layout, place, program, put)
        rahul = LAYOUTS["rahul"]
        level = turn % 4
        place = rahul.place(level)
        yield case(f"{id_}-pickle-{level}", mechanism, rahul, place, program, into_plain, "pickled")


def _eval(marker: str) -> bytes:
    return PROGRAMS["eval"][1](marker)


TAR = "tar format of torch 0.1"


def _container_cases() -> Iterator[Case]:
    for part, what in enumerate(("magic", "protocol", "system", "object", "keys")):
        layout = list(TORCH_LAYOUTS.values())[part]
        put = functools.partial(into_legacy, part=part)
        yield case(f"legacy-{what}", "each pickle of the legacy torch format", layout,
                   layout.place(2), _eval, put)  # fmt: skip
    for member in ("storages", "tensors", "pickle"):
        put = functools.partial(into_tar, part=member)
        layout = TORCH_LAYOUTS["cv_lth" if member == "tensors" else "openlth"]
        made = case(f"tar-{member}", TAR, layout, layout.place(1), _eval, put)
        yield _lenient(made, without(1))
    for layout in (TORCH_LAYOUTS["openlth"], TORCH_LAYOUTS["bert"], TORCH_LAYOUTS["generic"]):
        yield case("gzip", "torch file inside gzip", layout, layout.place(1), _eval, into_gzip,
                   "torch_gzipped")  # fmt: skip


def _persistent(marker: str) -> bytes:
    """The payload is an element of the tuple that names a storage, run before that is looked up."""
    pid = pack(text("storage"), name("torch", "FloatStorage"), text("0"), text("cpu"),
               _eval(marker))  # fmt: skip
    # No such storage: the loader fails, but too late.
    return pid + b"Q"


def _protocol_cases() -> Iterator[Case]:
    for protocol in range(6):
        for layout, loader in ((TORCH_LAYOUTS["openlth"], "torch_file"),
                               (LAYOUTS["rahul"], "pickled")):  # fmt: skip
            place = layout.place(min(protocol, 3))
            yield Case(
                f"protocol{protocol}-{layout.name}", "pickle of every protocol", layout.name,
                _dumped(layout, place, protocol), executing(loader, place), Path(place).name,
                executes=True,
            )  # fmt: skip
    for layout in (TORCH_LAYOUTS["openlth"], TORCH_LAYOUTS["moco"]):
        yield case("persistent", "payload in a persistent id", layout, layout.place(1),
                   _persistent, into_zip)  # fmt: skip


def _dumped(layout: Layout, place: str, protocol: int) -> Callable[[Path, Path], None]:
    def write(folder: Path, marker: Path) -> None:
        layout.write(folder)
        hostile = [np.ones(3), Reduces(marker)]
        if layout.name == "rahul":
            (folder / place).write_bytes(pickle.dumps(hostile, protocol=protocol))
        else:
            # Protocol 0 has no way to refer to a tensor's storage.
            masks = {"fc.weight": torch.ones(10, 16)} if protocol else {}
            torch.save({**masks, "x": Reduces(marker)}, folder / place, pickle_protocol=protocol)

    return write


def _second_data(path: Path, program: bytes) -> None:
    """Two entries named data.pkl: one reader takes the first, the other the last."""
    items = list(entries(path).items())
    hostile = [(e, before(program, d)) for e, d in items if e.endswith("/data.pkl")]
    write_zip(path, [*items, *hostile])


def _first_data(path: Path, program: bytes) -> None:
    items = list(entries(path).items())
    hostile = [(e, before(program, d)) for e, d in items if e.endswith("/data.pkl")]
    write_zip(path, [*hostile, *items])


def _extra_entry(entry: str) -> Put:
    def put(path: Path, program: bytes) -> None:
        items = entries(path)
        root = next(iter(items)).split("/")[0]
        write_zip(path, [*items.items(), (f"{root}/{entry}", whole(program))])

    return put


def _zip_cases() -> Iterator[Case]:
    doubled = "two entries of one name in the zip"
    extra = "pickle in an extra entry of the zip"
    for id_, mechanism, put in (
        ("second-data", doubled, _second_data),
        ("first-data", doubled, _first_data),
        ("extra-constants", extra, _extra_entry("constants.pkl")),
        ("extra-nested", extra, _extra_entry("extra/data.pkl")),
    ):
        for layout in (TORCH_LAYOUTS["openlth"], TORCH_LAYOUTS["generic"]):
            made = case(f"{id_}", mechanism, layout, layout.place(1), _eval, put,
                        "every_pickle_in_zip")  # fmt: skip
            # An importer that never opens the extra entry reads a genuine mask: both are sound.
            yield _lenient(made)


def _lenient(made: Case, levels: frozenset[int] = EVERY_LEVEL) -> Case:
    return dataclasses.replace(made, may_import=True, sound_levels=levels)


def _numpy_object(path: Path, program: bytes) -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "|O", "fortran_order": False, "shape": (1,)}
    )
    data = buffer.getvalue() + whole(program)
    if path.suffix == ".npz":
        write_zip(path, [("lt_mask.npy", data)])
    else:
        path.write_bytes(data)


def _side_cases() -> Iterator[Case]:
    openlth, bert, rahul = TORCH_LAYOUTS["openlth"], TORCH_LAYOUTS["bert"], LAYOUTS["rahul"]
    side = "payload in a file beside the masks"

    def new_checkpoint(path: Path, program: bytes) -> None:
        torch.save({"ep": 3, "it": 0}, path)
        into_zip(path, program)

    for level in (0, 3):
        for file in ("model_ep0_it0.pth", "model_ep160_it0.pth"):
            yield case(f"{file[:-8]}-{level}", side, openlth, f"{openlth_folder(level)}/{file}",
                       _eval, into_zip, aside=True)  # fmt: skip
    yield case("checkpoint", side, openlth, f"{openlth_folder(3)}/checkpoint.pth", _eval,
               new_checkpoint, aside=True)  # fmt: skip
    for file in ("model.pt", "result.pt"):
        yield case(file[:-3], side, bert, f"checkpoint-2000/{file}", _eval, into_zip, aside=True)
    folder = "dumps/lt/resnet8w4/cifar10"
    for file in ("lt_bestaccuracy.dat", "lt_compression.dat"):
        yield case(file[:-4], side, rahul, f"{folder}/{file}", _eval, into_plain, "pickled",
                   aside=True)  # fmt: skip
    objects = "numpy array of objects"
    for file in ("lt_bestaccuracy.dat", "lt_mask.npy", "lt_mask.npz"):
        yield case(f"objects-{file}", objects, rahul, f"{folder}/{file}", _eval, _numpy_object,
                   "numpy_file", aside=True)  # fmt: skip
    yield case("objects-mask", objects, rahul, rahul.place(1), _eval, _numpy_object, "numpy_file")


MODULE = "class Network:\n    pass\n\nopen({!r}, 'w').close()\n"


def _own_class(layout: Layout, place: str) -> Callable[[Path, Path], None]:
    def write(folder: Path, marker: Path) -> None:
        layout.write(folder)
        path = folder / place
        path.with_name("hostile_network.py").write_text(MODULE.format(str(marker)))
        into_zip(path, call(name("hostile_network", "Network")))

    return write


def _module_cases() -> Iterator[Case]:
    mechanism = "pickled object of a class in the folder"
    for layout in (TORCH_LAYOUTS["openlth"], TORCH_LAYOUTS["cv_lth"], TORCH_LAYOUTS["generic"]):
        place = layout.place(1)
        yield Case(f"own-class-{layout.name}", mechanism, layout.name, _own_class(layout, place),
                   executing("torch_beside_modules", place), Path(place).name,
                   executes=True)  # fmt: skip
    for layout in (TORCH_LAYOUTS["cv_lth"], TORCH_LAYOUTS["generic"]):
        place = layout.place(2)
        yield Case(f"whole-module-{layout.name}", "whole pickled module with a forward hook",
                   layout.name, _whole_module(layout, place), executing("torch_file", place),
                   Path(place).name, executes=True)  # fmt: skip


def _whole_module(layout: Layout, place: str) -> Callable[[Path, Path], None]:
    def write(folder: Path, marker: Path) -> None:
        layout.write(folder)
        module = torch.nn.Linear(4, 4)
        module.hook = Reduces(marker)  # type: ignore[assignment]
        torch.save(module, folder / place)

    return write


TORCHSCRIPT = """class Hostile(Module):
  __parameters__ = []
  __buffers__ = []
  training : bool
  def __getstate__(self: __torch__.Hostile) -> bool:
    return True
  def __setstate__(self: __torch__.Hostile, state: bool) -> NoneType:
    made = torch.from_file({marker}, True, 1, dtype=0, layout=None, device=torch.device("cpu"))
    self.training = torch.eq(torch.numel(made), 1)
    return None
"""


def _torchscript(layout: Layout, place: str) -> Callable[[Path, Path], None]:
    """An archive of TorchScript, whose own code creates a file while it is loaded."""

    def write(folder: Path, marker: Path) -> None:
        layout.write(folder)
        source = TORCHSCRIPT.format(marker='"' + str(marker) + '"')
        data = b"\x80\x02" + name("__torch__", "Hostile") + b")\x81\x88b."
        write_zip(folder / place, [
            ("mask/data.pkl", data), ("mask/code/__torch__.py", source.encode()),
            ("mask/constants.pkl", b"\x80\x02)."), ("mask/version", b"3\n"),
        ])  # fmt: skip

    return write


def _torchscript_cases() -> Iterator[Case]:
    for layout in (TORCH_LAYOUTS["openlth"], TORCH_LAYOUTS["bert"], TORCH_LAYOUTS["generic"]):
        place = layout.place(1)
        made = Case(f"torchscript-{layout.name}", "TorchScript archive with code", layout.name,
                    _torchscript(layout, place), executing("torch_file", place), Path(place).name,
                    executes=True)  # fmt: skip
        # No importer can read such a file: it may count as missing as well as refuse the run.
        yield _lenient(made, without(1))


def pickle_cases() -> list[Case]:
    return [
        *_program_cases(), *_container_cases(), *_protocol_cases(), *_zip_cases(),
        *_side_cases(), *_module_cases(), *_torchscript_cases(),
    ]  # fmt: skip
