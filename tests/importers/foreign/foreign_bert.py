"""Writes BERT-Tickets folders: masks in `mask.pt` beside a pickled network that nobody may load."""

from __future__ import annotations

from pathlib import Path

import foreign_networks as networks
import numpy as np
import torch
from foreign_layout import Layout, State, Tally, save
from foreign_vita import Named, masks_of, prune_global
from torch import nn


class BertForSequenceClassification(nn.Module):
    """BERT with a classifier, by the names of its tensors; pickled whole, as the original is."""

    def __init__(self, hidden: int, blocks: int, vocabulary: int) -> None:
        super().__init__()
        embeddings = networks.tree(
            word_embeddings=nn.Embedding(vocabulary, hidden),
            position_embeddings=nn.Embedding(512, hidden),
            token_type_embeddings=nn.Embedding(2, hidden),
            LayerNorm=nn.LayerNorm(hidden),
        )
        encoder = networks.tree(layer=nn.ModuleList(_block(hidden) for _ in range(blocks)))
        pooler = networks.tree(dense=nn.Linear(hidden, hidden))
        self.bert = networks.tree(embeddings=embeddings, encoder=encoder, pooler=pooler)
        self.classifier = nn.Linear(hidden, 2)


def _block(hidden: int) -> nn.Module:
    def dense(inputs: int, outputs: int) -> nn.Module:
        return networks.tree(dense=nn.Linear(inputs, outputs))

    def normed(inputs: int) -> nn.Module:
        return networks.tree(dense=nn.Linear(inputs, hidden), LayerNorm=nn.LayerNorm(hidden))

    parts = {name: nn.Linear(hidden, hidden) for name in ("query", "key", "value")}
    attention = {"self": networks.tree(**parts), "output": normed(hidden)}
    return networks.tree(
        attention=networks.tree(**attention),
        intermediate=dense(hidden, 4 * hidden),
        output=normed(4 * hidden),
    )


def write_bert(
    folder: Path,
    *,
    hidden: int = 8,
    blocks: int = 12,
    vocabulary: int = 100,
    levels: int = 3,
    seed: int = 57,
    step: int = 36813,
    pretraining: bool = False,
    models: bool = True,
    metric: str = "acc",
) -> Layout:
    """Write a BERT-Tickets folder; `hidden=768, vocabulary=30522` is BERT-base.

    Folder k (from 0) of a task holds the mask of level k + 1, made after training at level k; step
    k removes 1/(10 - k) of what is left, so the tenth mask is all zeros. `pretraining` is the
    program for masked language modelling, which prunes before it trains: its folder k holds the
    mask of level k + 2, and the first mask is in no mask file. `levels` is the highest level with a
    mask; it is not trained, so it has no accuracy. The others stand in result.pt as numpy scalars,
    one a folder, and the last of them in eval_results.txt.
    """
    network = networks.seeded(
        lambda: BertForSequenceClassification(hidden, blocks, vocabulary), seed
    )
    generator = torch.Generator().manual_seed(seed)
    layers = bert_layers(network)
    init = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    tally = Tally(folder, "bert_tickets", "bert_mlm" if pretraining else "bert")
    first = 2 if pretraining else 1
    reached: list[np.float64] = []
    for level in range(levels + 1):
        saved = level >= first
        files = []
        if level:
            if saved:
                checkpoint = folder / f"checkpoint-{step * (level - first + 1)}"
                _train(network, generator)
                if models:
                    save(network, checkpoint / "model.pt")
            masks = prune_global(layers, 1 / (10 - (level - 1)))
            _rewind(network, init)
            if saved:
                files.append(save(masks, checkpoint / "mask.pt"))
        accuracy = round(0.915 - 0.004 * level, 4) if first - 1 <= level < levels else None
        if accuracy is not None:
            reached.append(np.float64(accuracy))
        tally.level(masks_of(layers), accuracy, *files, written=bool(files))
    save([{metric: value} for value in reached], folder / "result.pt")
    if reached:
        (folder / "eval_results.txt").write_text(f"{metric} = {reached[-1]}\n")
    return tally.layout()


def bert_layers(network: nn.Module) -> Named:
    """Return the six matrices of each block, and the pooler."""
    return [
        (name, module)
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and name.startswith(("bert.encoder", "bert.pooler"))
    ]


def _train(network: nn.Module, generator: torch.Generator) -> None:
    """Move the weights that are kept, in place."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            noise = 0.02 * torch.randn(parameter.shape, generator=generator)
            mask = name.removesuffix("_orig") + "_mask"
            parameter += noise * network.get_buffer(mask) if name.endswith("_orig") else noise
    for module in network.modules():
        for hook in module._forward_pre_hooks.values():
            hook(module, ())


def _rewind(network: nn.Module, init: State) -> None:
    """Put the weights of the encoder back; the classifier goes on as it is."""
    state = network.state_dict()
    for name, tensor in init.items():
        if name.startswith("bert."):
            state[name if name in state else f"{name}_orig"] = tensor
    network.load_state_dict(state)
    for module in network.modules():
        for hook in module._forward_pre_hooks.values():
            hook(module, ())
