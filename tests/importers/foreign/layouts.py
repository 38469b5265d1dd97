"""Folders of checkpoints under the names that people give them, with what has to come of each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils import prune

State = Mapping[str, torch.Tensor]
KEPT = (650, 520, 416, 333, 266, 213)  # a fifth less a level
FULL = {n: KEPT[n] for n in range(5)}


@cache
def pruned(seed: int = 0, inputs: int = 20, levels: int = 6) -> tuple[State, ...]:
    """Return the state dicts of a network that `torch.nn.utils.prune` prunes level by level."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(inputs, 25), nn.ReLU(), nn.Linear(25, 6))
    weights = [(net[0], "weight"), (net[2], "weight")]
    states = []
    for level in range(levels):
        if level:
            prune.global_unstructured(weights, prune.L1Unstructured, amount=0.2)
        states.append(trained(net.state_dict(), 0.001))
    return tuple(states)


def trained(state: State, by: float = 0.01) -> State:
    """Return a state a little later: other weights, the same masks."""
    return {
        name: tensor.clone() if name.endswith("_mask") else tensor + by * torch.randn_like(tensor)
        for name, tensor in state.items()
    }


def removed(state: State) -> State:
    """Return a state as `prune.remove` leaves it: zeros, and no masks."""
    plain = {name.removesuffix("_orig"): tensor for name, tensor in state.items()}
    return {
        name: tensor * plain[f"{name}_mask"] if f"{name}_mask" in plain else tensor
        for name, tensor in plain.items()
        if not name.endswith("_mask")
    }


def lay(folder: Path, files: Mapping[str, State | str | bytes]) -> Path:
    """Save states, texts and bytes under a folder, by their paths in it."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content)
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(dict(content), path)
    return folder


@dataclass(frozen=True)
class Names:
    """A layout, and what has to come of it.

    Attributes
    ----------
    files : mapping
        By path.
    runs : list of mapping
        Of every run, in order: weights kept by level.
    skipped : mapping of str to str
        Files that are named, and words of why.
    replicates : list of str
        Of every run, where they are told.
    told : str
        Words of the notes.
    """

    files: Mapping[str, State | str | bytes]
    runs: tuple[Mapping[int, int], ...] = (FULL,)
    skipped: Mapping[str, str] = field(default_factory=dict)
    replicates: tuple[str, ...] = ("0",)
    told: str = ""


A, B, WIDE = pruned(), pruned(seed=3), pruned(seed=4, inputs=30)


def _five(*names: str) -> dict[str, State | str | bytes]:
    return dict(zip(names, A, strict=False))


def _levels(*levels: int, shift: int = 0) -> dict[int, int]:
    return {n + shift: KEPT[n] for n in levels}


_BY_MASKS = "levels by the masks: a pruning keeps 80 % of the weights"
LAYOUTS: dict[str, Names] = {
    # Shares, epochs, dates, words.
    "sparsity": Names(
        _five(*[f"net_sparsity_{s}.pth" for s in (0, 0.2, 0.36, 0.488, 0.5904)]),
        told=f"{_BY_MASKS}; net_sparsity_0.pth is 0, net_sparsity_0.2.pth is 1",
    ),
    "percent kept": Names(
        _five(*[f"model_{s}.pth" for s in ("100.0", "80.0", "64.0", "51.2", "41.0")]),
        told=_BY_MASKS,
    ),
    "percent pruned": Names(_five(*[f"pruned_{s}.pt" for s in (0, 20, 36, 49, 59)])),
    "percent in a word of levels": Names(_five(*[f"level_{s}.pt" for s in (0, 20, 36, 49, 59)])),
    "a pair of percents in a word of levels": Names(
        {"level_20.pt": A[1], "level_36.pt": A[2]}, (_levels(1, 2),)
    ),
    "percent sign": Names(_five(*[f"m_{s}%.pt" for s in (100, 80, 64, 51, 41)])),
    "Lightning": Names(_five(*[f"epoch={i}-step={100 * i}.ckpt" for i in range(5)])),
    "Lightning with a figure": Names(
        _five(*[f"epoch={i}-val_loss={v}.ckpt" for i, v in enumerate((0.5, 0.4, 0.45, 0.6, 0.3))])
    ),
    "Lightning, one name": Names(
        _five("epoch=9-step=100.ckpt", *[f"epoch=9-step=100-v{i}.ckpt" for i in range(1, 5)])
    ),
    "words": Names(_five("dense.pt", "once.pt", "twice.pt", "thrice.pt", "four.pt")),
    "dates": Names(_five(*[f"2024-05-{26 + i}_12-0{7 * i % 5}.pt" for i in range(5)])),
    "steps of ten": Names(_five(*[f"ckpt_{10 * i}.pt" for i in range(1, 6)])),
    # Numbers that count something else than prunings.
    "from 0, and pruned": Names(
        dict(zip([f"mask_{i}.pt" for i in range(4)], A[1:], strict=False)),
        (_levels(1, 2, 3, 4),),
        told="mask_0.pt is 1",
    ),
    "from level 0, and pruned": Names(
        dict(zip([f"level_{i}.pt" for i in range(3)], A[2:], strict=False)), (_levels(2, 3, 4),)
    ),
    "from 1, and dense": Names(
        _five(*[f"level_{i}.pt" for i in range(1, 6)]), told="level_1.pt is 0"
    ),
    "epochs as bare numbers": Names(
        {f"{i}.pt": trained(A[i // 2]) for i in range(6)},
        (_levels(0, 1, 2),),
        {f"{2 * i}.pt": f"{2 * i + 1}.pt, which is taken" for i in range(3)},
    ),
    "the dense network beside": Names(
        _five("dense.pt", *[f"level_{i}.pt" for i in range(1, 5)]), told="level 0 is dense.pt"
    ),
    # Words of levels that do not bring the files together, and masks that do.
    **{
        f"levels and {what}": Names(_five(*files))
        for what, files in {
            "dates": [f"level_{i}_2024010{i}.pt" for i in range(5)],
            "dates before": [f"2024-01-0{i}_level_{i}.pt" for i in range(5)],
            "figures of some": ["round_0.pt", "round_1.pt", "round_2_acc=92.pt",
                                "round_3_acc=93.pt", "round_4_acc=88.5.pt"],
            "figures behind best": [f"round{i}_best_9{i % 3}.pt" for i in range(5)],
            "epochs of some": ["level=0.ckpt", "level=1-epoch=9.ckpt", "level=2-epoch=7.ckpt",
                               "level=3-epoch=8-v1.ckpt", "level=4.ckpt"],
            "words of some": ["level_0_dense.pt", "level_1.pt", "level_2.pt", "level_3.pt",
                              "level_4_final.pt"],
        }.items()
    },
    **{
        f"one sure number, {what}": Names(_five(*files), told=_BY_MASKS)
        for what, files in {
            "of the first": ["round_0.pt", "p_20.pt", "p_36.pt", "p_49.pt", "p_59.pt"],
            "of the second": ["dense.pt", "imp_1.pt", "s_0.36.pt", "s_0.488.pt", "s_0.59.pt"],
            "and Roman ones": [f"level_{n}.pt" for n in ("0", "I", "II", "III", "IV")],
            "and all but the last": [*[f"level_{n}.pt" for n in range(4)], "final.pt"],
        }.items()
    },
    "levels of two seeds, and dates": Names(
        {f"seed{s}_level_{n}_2024010{n}.pt": x[n] for s, x in ((4, A), (5, B)) for n in range(5)},
        (FULL, FULL),
        replicates=("4", "5"),
    ),
    "levels and dates, one cut off": Names(
        {f"level_{n}_2024010{n}.pt": b"PK\x03\x04" if n == 2 else A[n] for n in range(5)},
        (_levels(0, 1, 3, 4),),
        told="level 2 is left out",
    ),
    "levels and dates, one pruned for good": Names(
        {f"level_{n}_2024010{n}.pt": removed(A[2]) if n == 2 else A[n] for n in range(5)},
        (_levels(0, 1, 3, 4),),
        {"level_2_20240102.pt": "of the weights are zeros"},
        told="level 2 missing",
    ),
    "before and after": Names(
        {f"level_{n}_{w}.pt": A[n + i] for n in range(4) for i, w in enumerate(("in", "out"))},
        (FULL,),
        {f"level_{n}_out.pt": f"masks of level_{n + 1}_in.pt" for n in range(3)},
        told="level_3_in.pt is 3, level_3_out.pt is 4",
    ),
    "the last of several epochs": Names(
        {f"model_{e}_{n}.pt": trained(A[n]) for e in range(3) for n in range(5)},
        skipped={
            f"model_{e}_{n}.pt": f"model_2_{n}.pt, which is taken"
            for e in range(2)
            for n in range(5)
        },
    ),
    # A folder a level.
    "before and after in a folder": Names(
        {f"round_{n}/{w}.pt": A[n + i] for n in range(4) for i, w in enumerate(("in", "out"))},
        (FULL,),
        {f"round_{n}/out.pt": f"masks of round_{n + 1}/in.pt" for n in range(3)},
        told="round_3/in.pt is 3, round_3/out.pt is 4",
    ),
    "seed folders in level folders": Names(
        {f"level_{n}/seed_{s}/model.pt": x[n] for s, x in ((4, A), (5, B)) for n in range(5)},
        (FULL, FULL),
        replicates=("4", "5"),
    ),
    "seed folders in folders of shares": Names(
        {f"p_{20 * n}/seed{s}/ckpt/m.ckpt": x[n] for s, x in ((4, A), (5, B)) for n in range(4)},
        (_levels(0, 1, 2, 3), _levels(0, 1, 2, 3)),
        replicates=("4", "5"),
    ),
    "runs in level folders": Names(
        {f"round{n}/run{s}.pt": x[n] for s, x in ((1, A), (2, B)) for n in range(5)},
        (FULL, FULL),
        replicates=("1", "2"),
    ),
    "two methods in level folders": Names(
        {f"round_{n}/{c}.pt": x[n] for c, x in (("a", A), ("b", B)) for n in range(3)},
        (_levels(0, 1, 2), _levels(0, 1, 2)),
        replicates=("0", "0"),
    ),
    "round folders": Names(_five(*[f"round_{i}/model.pth" for i in range(5)])),
    "level folders, deep": Names(_five(*[f"level_{i}/ckpt/best.pth" for i in range(5)])),
    "folders of shares": Names(_five(*[f"{s}/model.pt" for s in (1.0, 0.8, 0.64, 0.512, 0.41)])),
    "folders of numbers": Names(_five(*[f"{i}/model.pt" for i in range(5)])),
    "folders of words": Names(
        _five("dense/model.pt", "pruned/model.pt", "pruned_twice/model.pt"), (_levels(0, 1, 2),)
    ),
    "Hugging Face": Names(
        {
            **_five(*[f"checkpoint-{500 * i}/pytorch_model.bin" for i in range(5)]),
            "checkpoint-500/optimizer.pt": b"\x80\x02}q\x00.",
        },
        skipped={"optimizer.pt": "state dict"},
    ),
    # Several checkpoints of one mask.
    "epochs of a round": Names(
        {f"round_{r}_epoch_{e}.pt": trained(A[r]) for r in range(5) for e in (80, 9, 160)},
        skipped={
            f"round_{r}_epoch_{e}.pt": f"round_{r}_epoch_160.pt, which is taken"
            for r in range(5)
            for e in (9, 80)
        },
    ),
    "epochs in a folder": Names(
        {f"round_{r}/epoch_{e}.pt": trained(A[r]) for r in range(5) for e in (80, 9, 160)},
        skipped={
            f"round_{r}/epoch_{e}.pt": f"round_{r}/epoch_160.pt, which is taken"
            for r in range(5)
            for e in (9, 80)
        },
    ),
    "best and last": Names(
        {f"level_{r}_{e}.pt": trained(A[r]) for r in range(5) for e in ("best", "last")},
        skipped={f"level_{r}_best.pt": f"level_{r}_last.pt, which is taken" for r in range(5)},
    ),
    "best and last in a folder": Names(
        {f"level_{r}/{e}.pt": trained(A[r]) for r in range(5) for e in ("best", "last")},
        skipped={f"level_{r}/best.pt": f"level_{r}/last.pt, which is taken" for r in range(5)},
    ),
    "strays": Names(
        {
            **_five(*[f"level_{i}.pt" for i in range(5)]),
            "last.pt": A[4], "init.pt": A[0], "level_3-v1.pt": A[3], "level_3 2.pt": A[3],
            "level_2 (conflicted copy 2024-05-01).pt": A[2], "Copy of level_1.pt": A[1],
            "best/model.pt": A[2], "other.pt": B[2],
        },
        skipped={
            "last.pt": "masks of level_4.pt", "init.pt": "is dense, as level_0.pt",
            "level_3-v1.pt": "masks of level_3.pt", "level_3 2.pt": "masks of level_3.pt",
            "level_2 (conflicted copy 2024-05-01).pt": "masks of level_2.pt",
            "Copy of level_1.pt": "masks of level_1.pt", "best/model.pt": "masks of level_2.pt",
            "other.pt": "lies beside level_*.pt and is none of these levels",
        },
    ),
    "the initial network beside words": Names(
        {**_five("dense.pt", "once.pt", "twice.pt"), "init.pt": trained(A[0])},
        (_levels(0, 1, 2),),
        {"init.pt": "is dense, as dense.pt"},
    ),
    # Gaps.
    "a word explains gaps": Names(
        {f"level_{n}.pt": A[n] for n in (0, 2, 5)},
        (_levels(0, 2, 5),),
        told="level 1, 3, 4 missing",
    ),
    "a share is missing": Names(
        {f"s_{s}.pt": A[n] for n, s in ((0, 0.0), (1, 0.2), (3, 0.488), (4, 0.59))},
        (_levels(0, 1, 3, 4),),
        told="level 2 missing",
    ),
    "the first are missing": Names(
        {f"s_{s}.pt": A[n] for n, s in ((2, 0.36), (3, 0.488))}, (_levels(2, 3),)
    ),
    # Several runs.
    "seeds in names": Names(
        {f"seed{s}_level_{n}.pt": x[n] for s, x in ((4, A), (5, B)) for n in range(5)},
        (FULL, FULL),
        replicates=("4", "5"),
    ),
    "seeds behind": Names(
        {f"level_{n}_seed{s}.pt": x[n] for s, x in ((4, A), (5, B)) for n in range(5)},
        (FULL, FULL),
        replicates=("4", "5"),
    ),
    "seeds in level folders": Names(
        {f"level_{n}/seed_{s}.pt": x[n] for s, x in ((4, A), (5, B)) for n in range(5)},
        (FULL, FULL),
        replicates=("4", "5"),
    ),
    "level folders in seed folders": Names(
        {f"seed{s}/round_{n}/m.pt": x[n] for s, x in ((4, A), (5, B)) for n in range(5)},
        (FULL, FULL),
        replicates=("4", "5"),
    ),
    "levels and seeds in flat folders": Names(
        {f"round{n}_seed{s}/m.pt": x[n] for s, x in ((4, A), (5, B)) for n in range(5)},
        (FULL, FULL),
        replicates=("4", "5"),
    ),
    "two runs, told by names": Names(
        {
            f"{c}_{s}.pt": x[n]
            for c, x in (("a", A), ("b", B))
            for n, s in enumerate((0.0, 0.2, 0.36))
        },
        (_levels(0, 1, 2), _levels(0, 1, 2)),
        replicates=("0", "0"),
    ),
    "two runs in flat folders": Names(
        {f"{c}_r{n}/m.pt": x[n] for c, x in (("a", A), ("b", B)) for n in range(3)},
        (_levels(0, 1, 2), _levels(0, 1, 2)),
        replicates=("0", "0"),
    ),
    "two networks": Names(
        {f"{c}_{s}.pt": x[n] for c, x in (("a", A), ("b", WIDE)) for n, s in enumerate((0.0, 0.2))},
        (_levels(0, 1), {0: 900, 1: 720}),
        replicates=("0", "0"),
    ),
    # Manifests.
    "a manifest of folders": Names(
        {
            **_five(*[f"{name}/model.pth" for name in "edcba"]),
            "manifest.json": json.dumps(
                {"levels": [{"level": 0, "file": "e/model.pth"}, "d/model.pth", "./c/model.pth",
                            "b\\model.pth", {"level": 4, "file": "a/model.pth"}]}
            ),
        }
    ),
    "a manifest that leaves one out": Names(
        {
            **_five(*[f"round_{i}/model.pth" for i in range(4)]),
            "manifest.json": json.dumps({"levels": [f"round_{i}/model.pth" for i in range(3)]}),
        },
        (_levels(0, 1, 2),),
        {"round_3/model.pth": "manifest.json does not list it"},
    ),
    # Not all of it.
    "a file that is cut off": Names(
        {**_five("s_0.0.pt", "s_0.2.pt"), "s_0.36.pt": b"PK\x03\x04", "s_0.488.pt": A[3]},
        (_levels(0, 1, 3),),
        {"s_0.36.pt": "no whole zip archive"},
    ),
    "pruned for good, beside levels": Names(
        {**{f"level_{n}.pt": A[n] for n in (1, 2)}, "final.pt": removed(A[4])},
        (_levels(1, 2),),
        {"final.pt": "of the weights are zeros"},
    ),
    **{
        f"pruned for good, level {n}": Names(
            {f"level_{i}.pt": removed(A[i or 1]) if i == n else A[i] for i in range(4)},
            (_levels(*{*range(4)} - {n}),),
            told=f"level {n} is left out: level_{n}.pt: no masks, and",
        )
        for n in (0, 1, 2, 3)
    },
    "pruned for good": Names(
        {**_five(*[f"s_{s}.pt" for s in (0.0, 0.2, 0.36)]), "final.pt": removed(A[4])},
        (_levels(0, 1, 2),),
        {"final.pt": "of the weights are zeros: no mask is inferred from them"},
    ),
}  # fmt: skip
