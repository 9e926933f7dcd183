"""Random numbers that are the same on every version of Python.

Python promises to keep the sequence of `random.Random(seed).random()` and of nothing else in that
module, so everything here is made from it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """Random numbers made from `random()` alone."""

    def __init__(self, seed: int) -> None:
        self.uniform = random.Random(seed).random

    def below(self, n: int) -> int:
        return int(self.uniform() * n)

    def between(self, low: int, high: int) -> int:
        return low + self.below(high - low + 1)

    def chance(self, probability: float) -> bool:
        return self.uniform() < probability

    def pick(self, items: Sequence[T]) -> T:
        return items[self.below(len(items))]

    def pick_weighted(self, items: Sequence[T], weights: Sequence[float]) -> T:
        left = self.uniform() * sum(weights)
        for item, weight in zip(items, weights, strict=True):
            left -= weight
            if left < 0:
                return item
        return items[-1]

    def sample(self, items: Iterable[T], n: int) -> list[T]:
        pool = list(items)
        return [pool.pop(self.below(len(pool))) for _ in range(n)]

    def exponential(self, mean: float) -> float:
        return -mean * math.log1p(-self.uniform())

    def normal(self) -> float:
        radius = math.sqrt(-2 * math.log1p(-self.uniform()))
        return radius * math.cos(2 * math.pi * self.uniform())

    def gamma(self, shape: float, rate: float) -> float:
        """Marsaglia and Tsang 2000, with their boost for shapes below one."""
        if shape < 1:
            boost: float = (1 - self.uniform()) ** (1 / shape)
            return self.gamma(shape + 1, rate) * boost
        d = shape - 1 / 3
        while True:
            x = self.normal()
            cube = (1 + x / math.sqrt(9 * d)) ** 3
            if cube > 0 and math.log(1 - self.uniform()) < x * x / 2 + d * (
                1 - cube + math.log(cube)
            ):
                return d * cube / rate

    def beta(self, a: float, b: float) -> float:
        first, second = self.gamma(a, 1), self.gamma(b, 1)
        return first / (first + second)

    def fill(self, pattern: str) -> str:
        """Put random digits for # and random capital letters for ?."""
        letters = "ABDEFGHJLNPQRSTUWXYZ"
        return "".join(
            str(self.below(10)) if c == "#" else self.pick(letters) if c == "?" else c
            for c in pattern
        )
