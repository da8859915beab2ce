"""In which order clips come. Everything follows from the seed and the step, so that a run that goes on sees what it would have seen."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from perpetua.phys4d.train.clips import ClipSource, cut
from perpetua.phys4d.train.config import DataPlan

Batch = dict[str, Tensor]


class CutClips(Dataset[Batch]):
    """Clip cuts by their place in an endless order: every clip once, in an order of that round's own, then again."""

    def __init__(self, source: ClipSource, plan: DataPlan, seed: int) -> None:
        self.source, self.plan, self.seed = source, plan, seed

    def __getitem__(self, place: int) -> Batch:
        count = len(self.source.names)
        turn, within = divmod(place, count)
        number = int(np.random.default_rng([self.seed, turn]).permutation(count)[within])
        item = cut(self.source.read(number), self.plan, np.random.default_rng([self.seed, place, 1]))
        item["clip"] = torch.tensor(number)
        return item


class Places(Sampler[list[int]]):
    """The places of the batches of one process, from batch ``first`` on, without end."""

    def __init__(self, size: int, first: int, rank: int, ranks: int) -> None:
        self.size, self.first, self.rank, self.ranks = size, first, rank, ranks

    def __iter__(self) -> Iterator[list[int]]:
        number = self.first
        while True:
            begin = (number * self.ranks + self.rank) * self.size
            yield list(range(begin, begin + self.size))
            number += 1


def endless(
    source: ClipSource,
    plan: DataPlan,
    seed: int,
    size: int,
    first: int,
    workers: int,
    rank: int = 0,
    ranks: int = 1,
) -> Iterator[Batch]:
    """Batches of ``size`` clips from batch ``first`` on."""
    loader = DataLoader(
        CutClips(source, plan, seed),
        batch_sampler=Places(size, first, rank, ranks),
        num_workers=workers,
        multiprocessing_context=multiprocessing.get_context("spawn") if workers else None,
    )
    return iter(loader)


def in_order(source: ClipSource, plan: DataPlan, count: int) -> Iterator[Batch]:
    """The first ``count`` clips, one a batch, each cut at the same place every time: for validation."""
    for number in range(min(count, len(source.names))):
        item = cut(source.read(number), plan, np.random.default_rng(number))
        item["clip"] = torch.tensor(number)
        yield {key: value[None] for key, value in item.items()}
