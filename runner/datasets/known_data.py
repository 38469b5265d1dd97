"""Published data sets as they are known without their files: size, normalisation, place, origin."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...schemas.errors import RgtoolError
from ...schemas.words import size
from .images import Images

DATA_VARIABLE = "RGTOOL_DATA"
DIGITS = Path(__file__).parents[1] / "digits" / "digits.csv.gz"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# The files of MNIST and of its kin have the same names.
IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_IDX_FOLDER = "/raw"
# Kin that is no data set here, by the MD5 of its packed training images as torchvision has it.
_OTHER_KIN = {"bdb82020997e1d708af4cf47b453dcf7": "KMNIST"}
# Where Debian's package dataset-fashion-mnist puts the files.
_SYSTEM = {"fashion-mnist": (Path("/usr/share/datasets/fashion-mnist"),)}


@dataclass(frozen=True)
class KnownData:
    """What is known of a data set.

    Attributes
    ----------
    name : str
        As rgtool names it.
    what : str
        What the images show.
    source : str
        Who published it.
    train : tuple of int
        Training images of each class.
    test : int
        Test images.
    shape : tuple of int
        Channels, height, width.
    mean, std : tuple of float
        Normalisation of pixels scaled to [0, 1], as published.
    augment : tuple of str
        The augmentation published with it, see `Loader`.
    kin : str
        Class of torchvision that reads it; empty where none does.
    files : str
        File or folder in the folder of the data sets, as torchvision has it; empty where rgtool
        brings them.
    download : int
        Bytes of the files as torchvision downloads them, as their servers state the lengths; 0:
        nothing is.
    """

    name: str
    what: str
    source: str
    train: tuple[int, ...]
    test: int
    shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augment: tuple[str, ...] = ()
    kin: str = ""
    files: str = ""
    download: int = 0

    def images(
        self,
        x_train: NDArray[np.uint8],
        y_train: NDArray[np.int64],
        x_test: NDArray[np.uint8],
        y_test: NDArray[np.int64],
    ) -> Images:
        """Give arrays what is known of the data set that they are."""
        return Images(
            self.name,
            x_train,
            y_train,
            x_test,
            y_test,
            classes=len(self.train),
            mean=self.mean,
            std=self.std,
            augment=self.augment,
        )

    def noise(self) -> Images:
        """Return images of noise, as many and as large, in the same classes.

        What follows from numbers and shapes alone can be computed with them, speed included.
        """
        rng = np.random.default_rng(0)
        channels, height, width = self.shape
        size, classes = (height, width, channels), len(self.train)
        count = sum(self.train)
        return self.images(
            rng.integers(256, size=(count, *size), dtype=np.uint8),
            rng.permutation(np.repeat(np.arange(classes), self.train)),
            rng.integers(256, size=(self.test, *size), dtype=np.uint8),
            np.arange(self.test) % classes,
        )


_ALL = (
    KnownData(
        name="digits",
        what="handwritten digits, 17 grey levels",
        source="Alpaydin & Kaynak 1998",
        train=(143, 146, 142, 147, 145, 146, 145, 144, 140, 144),
        test=355,
        shape=(1, 8, 8),
        mean=(0.3052,),
        std=(0.3760,),
    ),
    KnownData(
        name="cifar10",
        what="photographs of ten kinds of things",
        source="Krizhevsky 2009",
        train=(5000,) * 10,
        test=10_000,
        shape=(3, 32, 32),
        mean=IMAGENET_MEAN,  # OpenLTH normalises CIFAR-10 so
        std=IMAGENET_STD,
        augment=("flip", "crop4"),
        kin="CIFAR10",
        files="cifar-10-batches-py",
        download=170_498_071,
    ),
    KnownData(
        name="cifar100",
        what="photographs of a hundred kinds of things",
        source="Krizhevsky 2009",
        train=(500,) * 100,
        test=10_000,
        shape=(3, 32, 32),
        mean=(0.5071, 0.4866, 0.4409),
        std=(0.2673, 0.2564, 0.2762),
        augment=("flip", "crop4"),
        kin="CIFAR100",
        files="cifar-100-python",
        download=169_001_437,
    ),
    KnownData(
        name="svhn",
        what="house numbers, cropped digits",
        source="Netzer et al. 2011",
        train=(4948, 13861, 10585, 8497, 7458, 6882, 5727, 5595, 5045, 4659),
        test=26_032,
        shape=(3, 32, 32),
        mean=(0.4377, 0.4438, 0.4728),
        std=(0.1980, 0.2010, 0.1970),
        augment=(),  # mirror images of digits are other characters
        kin="SVHN",
        files="train_32x32.mat",
        download=246_316_178,
    ),
    KnownData(
        name="mnist",
        what="handwritten digits",
        source="LeCun et al. 1998",
        train=(5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
        test=10_000,
        shape=(1, 28, 28),
        mean=(0.1307,),
        std=(0.3081,),
        kin="MNIST",
        files="MNIST/raw",
        download=11_594_722,
    ),
    KnownData(
        name="fashion-mnist",
        what="clothes",
        source="Xiao et al. 2017",
        train=(6000,) * 10,
        test=10_000,
        shape=(1, 28, 28),
        mean=(0.2860,),
        std=(0.3530,),
        kin="FashionMNIST",
        files="FashionMNIST/raw",
        download=30_878_645,
    ),
)
KNOWN_DATA = {known.name: known for known in _ALL}


def check_idx(
    known: KnownData, paths: Sequence[Path], y_train: NDArray[np.uint8], tested: int
) -> None:
    """Refuse files of IDX format that are those of another data set: all have the same names.

    Parameters
    ----------
    known : KnownData
        The data set that they are read for.
    paths : sequence of Path
        The four files.
    y_train : integer array, shape (N,)
        Training labels: how many there are of every class is no two data sets' here.
    tested : int
        Test images.

    Raises
    ------
    RgtoolError
        They are others.
    """
    found = tuple(np.bincount(y_train, minlength=len(known.train)).tolist())
    other = _OTHER_KIN.get(hashlib.md5(paths[0].read_bytes(), usedforsecurity=False).hexdigest())
    if (found, tested, other) == (known.train, known.test, None):
        return
    kin = (one for one in _ALL if one.files.endswith(_IDX_FOLDER))
    other = other or next((one.name for one in kin if (one.train, one.test) == (found, tested)), "")
    whose = f"the files of {other}" if other else f"{len(y_train)} + {tested} other images"
    raise RgtoolError(
        f"{paths[0].parent}: these are {whose}, not those of {known.name}: bring its official "
        f"files to {known.files} in the folder of the data sets, or read these by a function of "
        "yours, as my.py:load"
    )


def default_folder() -> Path:
    """Return where data sets lie or go: `$RGTOOL_DATA`, then `~/.cache/rgtool`."""
    return Path(os.environ.get(DATA_VARIABLE) or Path.home() / ".cache" / "rgtool")


def find(name: str, folder: Path | None = None) -> Path | None:
    """Look for the files of a data set; None where they would have to be downloaded.

    Only whether they are there is looked at.
    """
    known, home = KNOWN_DATA[name], folder or default_folder()
    if not known.download:
        return DIGITS
    if known.files.endswith(_IDX_FOLDER):
        paths = idx_paths(known, home)
        return paths[0].parent if paths else None
    return path if (path := home / known.files).exists() else None


def to_come(name: str, folder: Path | None) -> str:
    """Say of a data set that is not here that it will be downloaded."""
    return (
        f"{name} is not in {folder or default_folder()}: training begins with its download, "
        f"{size(KNOWN_DATA[name].download)}"
    )


def idx_paths(known: KnownData, folder: Path) -> list[Path]:
    """Return where the four files of MNIST or its kin are; nothing where one is missing."""
    below = [folder / part for part in (known.files, known.name)]
    homes = [*below, folder, *_SYSTEM.get(known.name, ())]
    for home in homes:
        found = [home / file for file in IDX_FILES]
        paths = [p if p.exists() else p.with_name(p.name + ".gz") for p in found]
        if all(path.exists() for path in paths):
            return paths
    return []
