"""Options that several commands have, and what a user's text must look like."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from clv.errors import ClvError, NoUsableRowsError

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from clv.tables.transactions import Transactions

_DATASET = "dataset:"

Command = Callable[..., Any]


# --- where the transactions come from --------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """A source of transactions and how to read it.

    Attributes
    ----------
    name
        As the user gave it.
    columns
        The arguments of `clv.read_transactions`.
    """

    name: str
    columns: dict[str, Any]

    def read(self, rejected: Path | None = None) -> Transactions:
        """Read it, and write the rows that cannot be used where that is asked for.

        They are written when no row at all can be used, too.
        """
        from clv.cli.console import note
        from clv.cli.writing import write_table

        try:
            transactions = self._read()
        except NoUsableRowsError as error:
            if rejected is not None and error.rejected is not None:
                write_table(error.rejected, rejected)
                note(f"wrote {rejected}")
            raise
        if rejected is not None:
            write_table(transactions.rejected, rejected)
        return transactions

    def _read(self) -> Transactions:
        import clv
        from clv.cli.console import working

        with working(f"reading {self.name}"):
            if not self.name.startswith(_DATASET):
                return clv.read_transactions(_expanded(self.name), **self.columns)
            found, columns = _dataset(self.name.removeprefix(_DATASET))
            return clv.read_transactions(found, **{**columns, **self.columns})

    def day(self, text: str, option: str) -> date:
        """Read a day that the user has typed, in the calendar of the source."""
        from clv.tables._day import parse_day

        with usage_error(option):
            return parse_day(text, "the day", self.columns.get("calendar", "gregorian"))

    def period_end(self, text: str, option: str) -> date | str:
        """A day, or the last one in the data."""
        return "last" if text.strip().lower() == "last" else self.day(text, option)


def _expanded(name: str) -> str:
    """The name with variables of the environment in it, as a database's URL has its secret."""
    if "${" not in name:
        return name
    from clv.pipeline.secrets import expand

    return expand(name)


def _dataset(name: str) -> tuple[Any, dict[str, Any]]:
    from clv import datasets

    known = [dataset.name for dataset in datasets.list_datasets()]
    if name not in known:
        raise click.UsageError(f"there is no data set {name!r}; there are {', '.join(known)}")
    if name == "shop":
        shop = datasets.load_shop()
        return shop.orders, shop.columns
    columns = {"customer_id": "customer_id", "date": "date", "amount": "amount"}
    return datasets.load_cdnow("sample" if name == "cdnow" else "master"), columns


_SOURCE_OPTIONS = (
    click.argument("source"),
    click.option("--table", help="Of a database: the table to read."),
    click.option("--schema", help="Of a database: where the table is."),
    click.option("--query", metavar="SELECT", help="Of a database: instead of a table."),
    click.option("--customer-id", metavar="COLUMN", help="Who bought.  [default: customer_id]"),
    click.option("--date", metavar="COLUMN", help="When.  [default: date]"),
    click.option("--amount", metavar="COLUMN", help="For how much.  [default: amount]"),
    click.option("--quantity", metavar="COLUMN", help="Pieces, instead of --amount: with"),
    click.option("--unit-price", metavar="COLUMN", help="the price of one piece."),
    click.option("--order-id", metavar="COLUMN", help="Which order a line belongs to."),
    click.option(
        "--calendar",
        type=click.Choice(["gregorian", "jalali"]),
        help="Of the dates, in the file and in these options.  [default: gregorian]",
    ),
    click.option("--timezone", metavar="ZONE", help="Where the days begin, such as Europe/Berlin."),
    click.option("--date-format", metavar="FORMAT", help="Such as %d.%m.%Y."),
    click.option(
        "--decimal", type=click.Choice([".", ","]), help="Before the cents.  [default: .]"
    ),
    click.option(
        "--delimiter", metavar="CHARACTER", help="Between fields of CSV.  [default: found]"
    ),
    click.option("--encoding", help="Of CSV.  [default: utf-8]"),
    click.option(
        "--refunds",
        type=click.Choice(["net", "drop", "error"]),
        help="Take refunds off earlier purchases, drop them, or refuse.  [default: net]",
    ),
    click.option(
        "--zero-amounts",
        type=click.Choice(["keep", "drop"]),
        help="Whether a purchase for nothing is one.  [default: keep]",
    ),
    click.option(
        "--memory",
        metavar="SIZE",
        help="What the job may take, such as 2GB; the rest is kept on disk while it runs.",
    ),
)


def source_options(function: Command) -> Command:
    """Add SOURCE and how to read it; the command gets a `Source` as its `source`."""

    @functools.wraps(function)
    def command(**given: Any) -> Any:
        names = [name for name in given if name in _SOURCE_NAMES]
        read_as = {name: value for name in names if (value := given.pop(name)) is not None}
        return function(source=_checked(read_as.pop("source"), read_as), **given)

    for option in reversed(_SOURCE_OPTIONS):
        option(command)
    return command


_SOURCE_NAMES = frozenset(
    (
        *("source", "customer_id", "date", "amount", "quantity", "unit_price", "order_id"),
        *("calendar", "timezone", "date_format", "decimal", "delimiter", "encoding"),
        *("refunds", "zero_amounts", "memory", "table", "schema", "query"),
    )
)


def _checked(name: str, columns: dict[str, Any]) -> Source:
    parts = {"quantity", "unit_price"} & set(columns)
    if "amount" in columns and parts:
        raise click.UsageError("give --amount, or --quantity and --unit-price, not both")
    if len(parts) == 1:
        raise click.UsageError("--quantity and --unit-price belong together")
    if "://" in name:
        from clv.pipeline.secrets import holds_secret

        if holds_secret(name):
            raise click.UsageError(
                "a password on the command line is seen by others; put the URL into a variable of "
                "the environment and write '${CLV_DATABASE_URL}' (in single quotes)"
            )
    if "timezone" in columns:
        from clv.tables._calendars import check_timezone

        with usage_error("--timezone"):
            check_timezone(columns["timezone"])
    if "memory" in columns:
        from clv.tables._memory import parse_memory

        with usage_error("--memory"):
            parse_memory(columns["memory"])
    return Source(name, columns)


# --- text to values ----------------------------------------------------------------------------


@contextmanager
def usage_error(option: str) -> Iterator[None]:
    """Turn what the package says of a value into an error of the option it came from."""
    try:
        yield
    except ClvError as error:
        raise click.BadParameter(str(error), param_hint=f"'{option}'") from error


class Number(click.FloatRange):
    """A number in a range, which nan is in none of."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Read it."""
        number = super().convert(value, param, ctx)
        if number != number:
            self.fail(f"{value!r} is no number", param, ctx)
        return number


def family_option(flag: str, kind: str, default: str, text: str) -> Callable[[Command], Command]:
    """An option that takes the name of a model family of a kind, and lists those there are."""

    class FamilyOption(click.Option):
        def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
            self.help = f"{text}: {', '.join(_families(kind))}."
            return super().get_help_record(ctx)

    def check(_: click.Context, __: click.Parameter, value: str) -> str:
        if value not in _families(kind):
            raise click.BadParameter(
                f"no {kind} model is called {value!r}; there are {', '.join(_families(kind))}"
            )
        return value

    return click.option(
        flag,
        cls=FamilyOption,
        metavar="NAME",
        default=default,
        show_default=True,
        callback=check,
        help=text,
    )


def _families(kind: str) -> list[str]:
    from clv import families

    found = [name for name in families.names() if str(families.find(name).KIND) == kind]
    return [*found, "stacked"] if kind == "purchase" else found


purchase_model = family_option("--model", "purchase", "bg_nbd", "Purchase model")
spend_model = family_option("--spend-model", "spend", "gamma_gamma", "Spend model")
spend_purchases = click.option(
    "--spend-purchases",
    type=click.Choice(["repeat", "all", "each"]),
    default="repeat",
    show_default=True,
    help="What the spend model looks at: repeat purchases, all, or the value of each.",
)


def bootstrap(default: int) -> Callable[[Command], Command]:
    """An option for the number of resamples."""
    return click.option(
        "--bootstrap",
        type=click.IntRange(10),
        default=default,
        show_default=True,
        help="Resamples behind the intervals of metrics.",
    )


method = click.option(
    "--method",
    type=click.Choice(["mle", "map", "laplace", "mcmc"]),
    default="mle",
    show_default=True,
    help="Maximum likelihood; or Bayesian: the mode, importance sampling, or Markov chains.",
)

time_unit = click.option(
    "--time-unit",
    type=click.Choice(["day", "week", "month", "year"]),
    default="week",
    show_default=True,
    help="Unit of ages and parameters; purchases merge per day in any.",
)
observation_period_end = click.option(
    "--observation-period-end",
    metavar="DATE",
    required=True,
    help="Last day observed, such as 2024-12-31; or 'last', the last day in the data.",
)
share = Number(0, 1, min_open=True, max_open=True)
seed = click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")


def _renamed(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in given:
        field, equals, name = text.partition("=")
        if not (field and equals and name):
            raise click.BadParameter(f"{text!r} is not FIELD=COLUMN, such as email=E-Mail")
        found[field.strip()] = name
    return found


columns_option = click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="FIELD=COLUMN",
    callback=_renamed,
    help="What a column of --customers is called, such as email=E-Mail. Repeat.",
)
