"""What is known on a night: transactions up to a day, and the tables made of them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from clv.pipeline.configuration import Configuration, SourceSection
from clv.pipeline.secrets import expand
from clv.tables._day import day_number
from clv.tables._file_sources import private_database, readable
from clv.tables._files import quoted
from clv.tables._fingerprint import fingerprint
from clv.tables._sources import is_spark
from clv.tables.rfm import RFM
from clv.tables.summary import rfm_summary
from clv.tables.transactions import Transactions, read_transactions
from clv.units import DAYS_PER_UNIT, parse_horizon

_PLACE = {"path", "url", "table", "schema_name", "query"}


def read(configuration: Configuration, as_of: dt.date) -> Transactions:
    """Read the source; a query is told the day as ``:as_of``.

    Raises
    ------
    EngineError
        If it is to be read in a cluster that cannot be used.
    DataError
        If it cannot be read, or no row of it can be used.
    """
    source = configuration.source
    columns = {
        name: value
        for name, value in source.model_dump(exclude=_PLACE).items()
        if value is not None
    }
    engine = configuration.engine
    if engine.kind == "spark":
        from clv.pipeline.engine import read_in_spark

        return read_in_spark(configuration, columns)
    columns["memory"] = engine.memory
    if source.url is None:
        assert source.path is not None
        path = expand(source.path)
        there = path if Path(path).is_absolute() else str(configuration.path(path))
        return settled(read_transactions(there, **columns))
    found = read_transactions(
        resolved_url(expand(source.url), configuration),
        table=source.table,
        schema=source.schema_name,
        query=source.query,
        parameters={"as_of": as_of},
        **columns,
    )
    return settled(found)


def settled(transactions: Transactions) -> Transactions:
    """The same with its usable lines in a file of our own.

    A night asks for them a dozen times, and reading CSV a dozen times takes longer than all the
    rest; it also keeps to what was read, should the source change meanwhile.
    """
    lines = transactions.lines
    if not (isinstance(lines, nw.LazyFrame) and lines.implementation.is_duckdb()):
        return transactions
    memory = transactions.memory
    connection, folder = private_database(None if memory is None else memory.of_engine)
    path = folder / "lines.parquet"
    with readable(transactions.source):
        lines.to_native().write_parquet(str(path), compression="zstd")
    scan = connection.sql(f"SELECT * FROM read_parquet({quoted([path])})")
    return replace(
        transactions,
        lines=nw.from_native(scan),
        keep_alive=(connection, transactions.keep_alive),
    )


def reads_the_same_every_night(source: SourceSection) -> bool:
    """Whether what is read does not depend on the night, so that many nights can share it."""
    return source.query is None or ":as_of" not in source.query


def resolved_url(url: str, configuration: Configuration) -> str:
    """A file of a database is looked for beside the configuration, as other files are."""
    for scheme in ("sqlite:///", "duckdb:///"):
        name = url.removeprefix(scheme)
        if name != url and name and not name.startswith(("/", ":", "file:")):
            return f"{scheme}{configuration.path(name).resolve()}"
    return url


@dataclass(frozen=True)
class Window:
    """Counts of a stretch of days: rows, purchases by new and by known customers, amounts."""

    rows: int
    new: int
    repeat: int
    median_amount: float
    mean_amount: float


@dataclass(frozen=True, eq=False)
class Night:
    """Transactions up to `as_of`, and what is made of them; each thing is made once."""

    transactions: Transactions
    as_of: dt.date
    time_unit: str
    holdout: str

    @property
    def cut(self) -> dt.date:
        """Last day before the holdout."""
        days = parse_horizon(self.holdout, "day")
        assert days is not None
        return self.as_of - dt.timedelta(days=max(1, round(days)))

    @cached_property
    def full(self) -> RFM:
        """Everybody as known tonight."""
        return self.table()

    @cached_property
    def split(self) -> RFM:
        """Everybody as known at the cut, and what they bought since.

        Judging asks of every customer again and again, so out of a cluster they come here once.
        """
        split = self.table(cut=self.cut)
        return split.collect() if is_spark(self.transactions.lines) else split

    def table(
        self, end: dt.date | None = None, *, cut: dt.date | None = None, unit: str | None = None
    ) -> RFM:
        """A table of what was known on another day, or in another unit; made once."""
        key = (end or self.as_of, cut, unit or self.time_unit)
        if key not in self._tables:
            self._tables[key] = rfm_summary(
                self.transactions,
                observation_period_end=key[0],
                calibration_period_end=cut,
                time_unit=key[2],
            )
        return self._tables[key]

    @cached_property
    def _tables(self) -> dict[Any, RFM]:
        return {}

    def window_table(self, days: int) -> RFM:
        """What the last `days` would look like to somebody who had never looked before."""
        start = day_number(self.as_of) - days
        lines = self.transactions.lines.filter(nw.col("day") > start)
        recent = replace(self.transactions, lines=lines)
        return rfm_summary(recent, observation_period_end=self.as_of, time_unit=self.time_unit)

    @property
    def first_day(self) -> dt.date:
        """Of all purchases."""
        first: dt.date = self.full.values("first_purchase").min().astype(object)
        return first

    @property
    def last_day(self) -> dt.date:
        """Last day that has any row, up to the night."""
        return dt.date(1970, 1, 1) + dt.timedelta(days=int(self.days[0].max()))

    @cached_property
    def days(self) -> tuple[NDArray[np.int64], ...]:
        """By day up to the night: its number, rows, and customers who bought."""
        grouped = (
            self._known()
            .group_by("day")
            .agg(nw.len().alias("rows"), nw.col("customer_id").n_unique().alias("buyers"))
        )
        table = _collected(grouped)
        return tuple(table[name].to_numpy().astype(np.int64) for name in ("day", "rows", "buyers"))

    def window(self, last: dt.date, days: int) -> Window:
        """Counts of the `days` up to and with `last`."""
        end = day_number(last)
        number, rows, buyers = self.days
        inside = (number > end - days) & (number <= end)
        first = self.full.values("first_purchase").astype("datetime64[D]").astype(np.int64)
        new = int(np.count_nonzero((first > end - days) & (first <= end)))
        lines = self.transactions.lines.filter(
            nw.col("day") > end - days, nw.col("day") <= end, nw.col("amount") > 0
        )
        amounts = _collected(
            lines.select(
                nw.col("amount").median().alias("median"), nw.col("amount").mean().alias("mean")
            )
        )
        row = amounts.rows(named=True)[0]
        return Window(
            rows=int(rows[inside].sum()),
            new=new,
            repeat=int(buyers[inside].sum()) - new,
            median_amount=_number(row["median"]),
            mean_amount=_number(row["mean"]),
        )

    @cached_property
    def largest_customer_share(self) -> float:
        """Share of the rows that the customer with the most of them has."""
        counted = self._known().group_by("customer_id").agg(nw.len().alias("rows"))
        rows = _collected(counted)["rows"].to_numpy()
        return float(rows.max() / rows.sum())

    @cached_property
    def repeated_share(self) -> float:
        """Share of the rows that repeat another one: same customer, same day, same amount."""
        counted = self._known().group_by("customer_id", "day", "amount").agg(nw.len().alias("n"))
        n = _collected(counted)["n"].to_numpy()
        return float((n - 1).sum() / n.sum())

    def share_after(self, day: dt.date) -> float:
        """Share of all rows, later ones included, that are dated after a day."""
        lines = self.transactions.lines
        late = lines.filter(nw.col("day") > day_number(day)).select(nw.len().alias("n"))
        return float(_collected(late)["n"][0]) / max(1, self.transactions.quality.used)

    @cached_property
    def fingerprint(self) -> str:
        """Of what customers had bought by then; the day itself does not enter.

        A night without new rows has that of the night before.
        """
        table = self.full
        first = table.values("first_purchase").astype("datetime64[D]").astype(np.float64)
        recency = np.round(table.array("recency") * DAYS_PER_UNIT[table.time_unit])
        columns = {
            "frequency": table.array("frequency"),
            "recency": recency,
            "T": first,
            "monetary_value": table.array("monetary_value"),
            "total_value": table.array("total_value"),
        }
        return fingerprint(columns, ("customers", len(table)))

    def _known(self) -> Any:
        return self.transactions.lines.filter(nw.col("day") <= day_number(self.as_of))


def _collected(frame: Any) -> nw.DataFrame[Any]:
    return frame.collect() if isinstance(frame, nw.LazyFrame) else frame


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
