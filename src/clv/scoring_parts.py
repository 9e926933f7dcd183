"""Scoring a table whose rows are elsewhere: part by part, where they are."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from functools import partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clv.numerics.compress import Weighted, compress, merge
from clv.predictive import Known, Run, simulate, state_columns, states_from
from clv.scoring import Question, Scores, score
from clv.tables._frame import FloatArray, Table
from clv.tables._rows import Rows
from clv.tables._stored import Scratch
from clv.tables.large import LargeRFM
from clv.tables.rfm import RFM
from clv.totals import Sums

if TYPE_CHECKING:
    import pyarrow as pa

    Part = Callable[[pa.Table], RFM]


def score_in_parts(rfm: LargeRFM, question: Question) -> tuple[Rows, Scores]:
    """The forecast of every customer, and what all of them come to; see `clv.scoring.score`."""
    known = None
    if question.simulation is not None:
        found = rfm.place.gather(partial(_states, rfm.part, question))
        states = merge(found).columns
        known = Known(states, Simulated(states, question))
    try:
        rows, parts = rfm.place.map(
            partial(_scored, rfm.part, question, known), partial(_example, rfm.part, question)
        )
    finally:
        _KEPT.clear()
    sums = [one for one, _ in parts if one is not None]
    notes = [note for _, some in parts for note in some]
    return rows, Scores({}, reduce(Sums.plus, sums) if sums else None, notes)


def _states(part: Part, question: Question, table: pa.Table) -> Weighted:
    """The distinct states in a part."""
    rows = compress(state_columns(part(table), question.purchases, question.spend))
    return Weighted(rows.columns, rows.weights)


def _scored(
    part: Part, question: Question, known: Known | None, table: pa.Table
) -> tuple[pa.Table, tuple[Sums | None, list[str]]]:
    scores = score(part(table), question, known)
    return Table.from_columns(scores.columns).to_arrow(), (scores.sums, scores.notes)


def _example(part: Part, question: Question, table: pa.Table) -> pa.Table:
    return _scored(part, question, None, table)[0]


class Simulated:
    """Futures of these states: simulated once in a process, kept on its disk.

    Sent to another process it is the states and the question only, and the same futures are
    simulated there: the seed decides what they are.
    """

    def __init__(self, states: tuple[FloatArray, ...], question: Question) -> None:
        self._states, self._question = states, question
        self._name = uuid.uuid4().hex

    def __call__(self) -> Iterator[Run]:
        """The futures, a bounded number at a time."""
        if self._name not in _KEPT:
            _KEPT.clear()  # one forecast at a time
            _KEPT[self._name] = (scratch := Scratch())
            self._simulate(scratch.path)
        for file in sorted(_KEPT[self._name].path.iterdir()):
            yield _load(file)

    def _simulate(self, folder: Path) -> None:
        ask = self._question
        assert ask.simulation is not None
        states = states_from(self._states, ask.purchases)
        runs = simulate(ask.purchases, ask.spend, states, **ask.simulation)
        for number, run in enumerate(runs):
            _save(run, folder / f"{number:08d}")


_KEPT: dict[str, Scratch] = {}


def _save(run: Run, path: Path) -> None:
    with path.open("wb") as file:
        for array in (np.array(run.start), run.counts, run.worth):
            np.save(file, array)


def _load(path: Path) -> Run:
    with path.open("rb") as file:
        start, counts, worth = (np.load(file) for _ in range(3))
    return Run(int(start), counts, worth)
