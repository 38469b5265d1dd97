"""Files that are damaged, that are no files, that lead out of the folder, or are misnamed."""

from __future__ import annotations

import dataclasses
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from hostile_bombs import ENDLESS, Damage, unreadable
from hostile_case import (
    EVERY_LEVEL,
    Case,
    Fires,
    Write,
    any_of,
    counted,
    crashed,
    exhausted,
    reading,
    without,
)  # fmt: skip
from hostile_layouts import LAYOUTS, Layout, kept, openlth_folder
from hostile_victim import Outcome

SECRET = "a secret outside of the folder"


def _cut(numerator: int) -> Damage:
    return lambda path: path.write_bytes(
        path.read_bytes()[: path.stat().st_size * numerator // 4 - (numerator == 4)]
    )


def _noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(4096))


def _noise_inside(path: Path) -> None:
    """A zip still, whose every tenth byte is wrong."""
    data = np.frombuffer(path.read_bytes(), np.uint8).copy()
    data[40::10] ^= 0x55
    path.write_bytes(data.tobytes())


HTML = b"<!DOCTYPE html>\n<html><head><title>Google Drive - Quota exceeded</title></head></html>\n"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 13000\n"
DAMAGES: dict[str, tuple[str, Damage]] = {
    "empty": ("file of no bytes", lambda p: p.write_bytes(b"")),
    "cut-1": ("file cut off", _cut(1)),
    "cut-2": ("file cut off", _cut(2)),
    "cut-3": ("file cut off", _cut(3)),
    "cut-4": ("file cut off", _cut(4)),
    "noise": ("random bytes", _noise),
    "noise-inside": ("random bytes", _noise_inside),
    "zeros": ("random bytes", lambda p: p.write_bytes(bytes(p.stat().st_size))),
    "html": ("page of a server in place of the file", lambda p: p.write_bytes(HTML)),
    "lfs": ("git-lfs pointer in place of the file", lambda p: p.write_bytes(LFS)),
}


def _loader(layout: Layout) -> str:
    return {"rahul": "pickled", "safetensors": "safetensors_file"}.get(layout.name, "torch_file")


def _damage_cases() -> Iterator[Case]:
    turns = ("openlth", "safetensors", "cv_lth", "generic", "rahul", "bert", "moco", "simclr")
    for turn, (id_, (mechanism, damage)) in enumerate(DAMAGES.items()):
        for step in range(2):
            layout = LAYOUTS[turns[(turn + 4 * step) % 8]]
            level = layout.levels[(turn + step) % len(layout.levels)]
            # Noise need not hit what a loader looks at; then it hits the values.
            harm = any_of(crashed, counted(kept(level, layout.network)))
            yield unreadable(id_, mechanism, layout, level, damage, _loader(layout), harm)


def outside(folder: Path) -> Path:
    """A genuine mask and a text that lie beside the folder and are none of its business."""
    place = folder.parent / "outside"
    place.mkdir(exist_ok=True)
    masks = {"fc.weight": torch.ones(10, 16, dtype=torch.int32)}
    torch.save(masks, place / "mask.pth")
    (place / "secret").write_text(SECRET)
    return place


def _linked(target: Callable[[Path], str | Path], file: str, whole: bool = False) -> Write:
    """Replace a level's file (or its whole folder) by a link to `target(folder)`."""

    def write(folder: Path, marker: Path) -> None:
        LAYOUTS["openlth"].write(folder)
        path = folder / file
        if whole:
            shutil.rmtree(path)
        else:
            path.unlink()
        path.symlink_to(target(folder))

    return write


def _whole_level(folder: Path) -> Path:
    """A level of somebody else, outside, with the same layout."""
    place = folder.parent / "outside"
    LAYOUTS["openlth"].write(place)
    masks = place / openlth_folder(2) / "mask.pth"
    torch.save({"fc.weight": torch.ones(10, 16, dtype=torch.int32)}, masks)
    return place / openlth_folder(2).removesuffix("/main")


def _link_cases() -> Iterator[Case]:
    mask = f"{openlth_folder(2)}/mask.pth"
    main = openlth_folder(2)
    away = "link out of the folder"
    differs = counted(kept(2))
    links = (
        ("file", away, lambda f: outside(f) / "mask.pth", mask, False, differs),
        ("relative", away, lambda f: outside(f) and "../../../../../outside/mask.pth", mask, False,
         differs),
        ("level", away, _whole_level, main.removesuffix("/main"), True, differs),
        ("secret", away, lambda f: outside(f) / "secret", mask, False, crashed),
        ("self", "link that goes round", lambda f: "mask.pth", mask, False, crashed),
        ("loop", "link that goes round", lambda f: "..", main, True, crashed),
        ("dangling", "link to nothing", lambda f: "nothing", mask, False, crashed),
        ("zero", "link to a device", lambda f: "/dev/zero", mask, False, any_of(ENDLESS, crashed)),
        ("random", "link to a device", lambda f: "/dev/urandom", mask, False,
         any_of(ENDLESS, crashed)),
        ("environment", "link to a device", lambda f: "/proc/self/environ", mask, False, crashed),
    )  # fmt: skip
    for id_, mechanism, target, place, whole, harm in links:
        yield Case(f"link-{id_}", mechanism, "openlth", _linked(target, place, whole),
                   reading("torch_file", mask, harm, 2.0), Path(place).name, may_import=True,
                   sound_levels=without(2))  # fmt: skip
    for file in ("logger", "hparams.log", "model_ep160_it0.pth"):
        place = f"{openlth_folder(0)}/{file}"
        loader = {"logger": "logger", "hparams.log": "hparams"}.get(file, "torch_file")
        yield Case(f"link-side-{file}", away, "openlth",
                   _linked(lambda f: outside(f) / "secret", place),
                   reading(loader, place, crashed), file, may_import=True,
                   sound_levels=EVERY_LEVEL)  # fmt: skip


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _socket(path: Path) -> None:
    """A socket file. Its path would be too long for bind, so it is bound from its folder."""
    path.unlink()
    here = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def _sparse_file(path: Path) -> None:
    """A terabyte, of which the disk holds nothing."""
    path.write_bytes(b"")
    os.truncate(path, 1 << 40)


def _odd_cases() -> Iterator[Case]:
    mechanisms = {
        "fifo": ("named pipe", _fifo, ENDLESS),
        "folder": ("folder named as a file", _folder, crashed),
        "socket": ("socket", _socket, crashed),
        "sparse": ("sparse file of a terabyte", _sparse_file, any_of(ENDLESS, crashed)),
        # Root may read everything: then the mask is only one that is not there.
        "unreadable": ("file without permission", lambda p: (p.write_bytes(b""), p.chmod(0)),
                       crashed),
    }  # fmt: skip
    for id_, (mechanism, damage, harm) in mechanisms.items():
        for layout, level in ((LAYOUTS["openlth"], 1), (LAYOUTS["generic"], 2)):
            place = layout.place(level)
            made = unreadable(id_, mechanism, layout, level, damage, "torch_file", harm)
            fires = reading("torch_file", place, harm, 0.5)
            yield dataclasses.replace(made, fires=fires)
    yield _logger_pipe(f"{openlth_folder(1)}/logger")


def _logger_pipe(place: str) -> Case:
    def write(folder: Path, marker: Path) -> None:
        LAYOUTS["openlth"].write(folder)
        _fifo(folder / place)

    return Case("fifo-logger", "named pipe", "openlth", write,
                reading("logger", place, ENDLESS, 0.5), "logger", may_import=True,
                sound_levels=EVERY_LEVEL)  # fmt: skip


def _copied(name: str, layout: Layout) -> Write:
    """Give level 1 once more under a hostile name."""

    def write(folder: Path, marker: Path) -> None:
        layout.write(folder)
        if layout.name == "openlth":
            source = folder / openlth_folder(1).removesuffix("/main")
            shutil.copytree(source, source.with_name(f"level_{name}"))
        else:
            shutil.copy(folder / layout.place(1), folder / f"level_{name}.pt")

    return write


LEVEL_NAMES = {
    "huge": ("level number out of range", "99999999999", exhausted),
    "64bit": ("level number out of range", "18446744073709551617", crashed),
    "200-digits": ("level number out of range", "9" * 200, crashed),
    "negative": ("negative level number", "-1", None),
    "zeros": ("two names for one level", "0001", None),
    "trailing-underscore": ("level number that is no integer", "1_", crashed),
    "arabic": ("digits that are not ASCII", "\u0661", None),
    "superscript": ("digits that are not ASCII", "\u00b2", crashed),
    "underscore": ("two names for one level", "0_1", None),
    "exponent": ("level number that is no integer", "1e3", crashed),
    "newline": ("control characters in a file name", "1\n2", None),
    "escape": ("control characters in a file name", "1\x1b[2J", None),
    "bell": ("control characters in a file name", "1\x07\x9b31m", None),
    "surrogate": ("file name that is no UTF-8", "1\udcff", None),
    "right-to-left": ("control characters in a file name", "1\u202e2", None),
}


def _numbered(outcome: Outcome) -> bool:
    """Two files were taken for one level, and one of them is lost."""
    return outcome.crashed or outcome.result["files"] != outcome.result["rows"]


def _unprintable(place: str) -> Fires:
    """Show that to print the names in the folder as they are would send control characters."""

    def fires(folder: Path, marker: Path) -> bool:
        names = [path.name for path in (folder / place).iterdir()]
        return not all(name.isprintable() for name in names)

    return fires


def _name_cases() -> Iterator[Case]:
    for id_, (mechanism, name, harm) in LEVEL_NAMES.items():
        for layout in (LAYOUTS["openlth"], LAYOUTS["generic"]):
            place = str(Path(openlth_folder(0)).parents[1]) if layout.name == "openlth" else "."
            control = "name" in mechanism and not name.isprintable()
            yield Case(
                f"level-{id_}-{layout.name}", mechanism, layout.name, _copied(name, layout),
                _unprintable(place) if control else reading("levels", place, harm or _numbered),
                "", may_import=True, sound_levels=EVERY_LEVEL,
            )  # fmt: skip


def file_cases() -> list[Case]:
    return [*_damage_cases(), *_link_cases(), *_odd_cases(), *_name_cases()]
