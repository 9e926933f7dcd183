"""From a source to a forecast: what `clv forecast`, `clv export` and `clv report` begin with."""

from __future__ import annotations

import functools
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clv.cli import options
from clv.cli.console import notes, working
from clv.cli.learning import learn
from clv.cli.options import Command, Source, usage_error
from clv.errors import ConvergenceError

if TYPE_CHECKING:
    from datetime import date

    from clv.fitted import FittedPurchases, FittedSpend
    from clv.forecast import Forecast
    from clv.purchase_model import PurchaseModel
    from clv.spend_model import SpendModel
    from clv.tables.rfm import RFM
    from clv.tables.transactions import Transactions


@dataclass(frozen=True)
class Scored:
    """Everything between the transactions and the forecast."""

    transactions: Transactions
    rfm: RFM
    purchases: FittedPurchases
    spend: FittedSpend
    forecast: Forecast


@dataclass(frozen=True)
class Scoring:
    """How a source is to be forecast, as the user has said it."""

    source: Source
    observation_period_end: str
    time_unit: Any
    horizon: str
    discount_rate: float
    margin: float
    model: str
    spend_model: str
    spend_purchases: str
    method: str
    interval: float
    seed: int
    calibrate: int | None

    def run(
        self,
        rejected: Path | None = None,
        *,
        transactions: Transactions | None = None,
        with_interval: bool = True,
        interval_kind: Any = "predictive",
    ) -> Scored:
        """Read (unless that was done), fit and forecast, and note what is to be noted."""
        import clv

        ahead = self.check()
        if transactions is None:
            transactions = self.source.read(rejected)
        rfm = self.summarise(transactions)
        notes(transactions.quality.notes, rfm.notes)
        models = self.models()
        calibration = None
        if self.calibrate is not None:
            learned = learn(transactions, rfm, *models, ahead, self.calibrate)
            models, calibration = (learned.purchases, models[1]), learned.calibration
        purchases, spend = fit_models(rfm, *models, self.method, self.seed)
        with working(f"forecasting {len(rfm):,} customers"):
            forecast = clv.forecast(
                rfm,
                purchases,
                spend,
                horizon=ahead,
                discount_rate=self.discount_rate,
                margin=self.margin,
                interval=self.interval if with_interval else None,
                interval_kind=interval_kind,
                seed=self.seed,
                calibration=calibration,
            )
        notes(forecast.notes)
        return Scored(transactions, rfm, purchases, spend, forecast)

    def check(self) -> float | str | None:
        """Refuse what cannot be understood before anything is read; how far ahead to look."""
        self.period_end()
        return _horizon(self.horizon, self.time_unit)

    def period_end(self) -> date | str:
        """The last day observed, or "last"."""
        return self.source.period_end(self.observation_period_end, "--observation-period-end")

    def fit(
        self, transactions: Transactions, calibration_end: date | None = None
    ) -> tuple[RFM, FittedPurchases, FittedSpend]:
        """Summarise the customers, with a holdout where that is asked for, and fit both models."""
        rfm = self.summarise(transactions, calibration_end)
        return rfm, *fit_models(rfm, *self.models(), self.method, self.seed)

    def summarise(self, transactions: Transactions, calibration_end: date | None = None) -> RFM:
        """One row per customer, with a holdout where that is asked for."""
        import clv

        with working("summarising customers"):
            return clv.rfm_summary(
                transactions,
                observation_period_end=self.period_end(),
                time_unit=self.time_unit,
                calibration_period_end=calibration_end,
            )

    def models(self) -> tuple[PurchaseModel, SpendModel]:
        """The models that were asked for, not fitted."""
        return models_of(self.model, self.spend_model, self.spend_purchases)


def models_of(
    model: str, spend_model: str, spend_purchases: Any
) -> tuple[PurchaseModel, SpendModel]:
    """The models that go by these names, not fitted."""
    import clv

    return clv.model_class(model)(), clv.model_class(spend_model)(purchases=spend_purchases)


def fit_models(
    rfm: RFM, model: PurchaseModel, spend_model: SpendModel, method: Any, seed: int
) -> tuple[FittedPurchases, FittedSpend]:
    """Fit a purchase and a spend model.

    Raises
    ------
    ConvergenceError
        If the draws of a posterior do not pass their diagnostics.
    """
    named = f"{model.family.NAME} and {spend_model.family.NAME}"
    # Markov chains show a bar of their own
    shown = nullcontext() if method == "mcmc" else working(f"fitting {named}")
    how: dict[str, Any] = {} if method == "mle" else {"method": method, "seed": seed}
    with shown:
        purchases, spend = model.fit(rfm, **how), spend_model.fit(rfm, **how)
    for fitted in (purchases, spend):
        if fitted.posterior is not None and not fitted.convergence.converged:
            raise ConvergenceError(f"{fitted.title}: {fitted.convergence.message}")
    return purchases, spend


_OPTIONS = (
    options.source_options,
    options.observation_period_end,
    options.time_unit,
    click.option(
        "--horizon",
        default="52 weeks",
        show_default=True,
        help="How far ahead: a number of time units, '365 days', or 'forever'.",
    ),
    click.option(
        "--discount-rate",
        type=options.Number(0, 10, max_open=True),
        default=0.1,
        show_default=True,
        help="Effective per year; .1 is 10 %.",
    ),
    click.option(
        "--margin",
        type=options.Number(0, 1, min_open=True),
        default=1.0,
        show_default=True,
        help="Gross margin as a share of the amounts.",
    ),
    options.purchase_model,
    options.spend_model,
    options.spend_purchases,
    options.method,
    click.option(
        "--interval",
        type=options.share,
        default=0.9,
        show_default=True,
        help="Probability of the intervals.",
    ),
    options.seed,
    click.option(
        "--calibrate",
        type=click.IntRange(2, 100),
        metavar="CUTS",
        help="Learn the level and the width from this many earlier cuts; of a stack the weights.",
    ),
)
_NAMES = tuple(name for name in Scoring.__dataclass_fields__)


def scoring_options(function: Command) -> Command:
    """Add SOURCE and how to forecast it; the command gets a `Scoring` as its `scoring`."""

    @functools.wraps(function)
    def command(**given: Any) -> Any:
        scoring = Scoring(**{name: given.pop(name) for name in _NAMES})
        return function(scoring=scoring, **given)

    decorated: Command = command
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


customers_option = click.option(
    "--customers",
    metavar="FILE",
    help="Customers table, CSV or Parquet: customer_id and what is known; or dataset:shop.",
)


def read_customers(name: str | None, source: Source) -> Any:
    """The customers table that was asked for; None without one."""
    if name is None:
        return None
    from clv.datasets import load_shop
    from clv.tables.everybody import read_customers as read

    with working(f"reading {name}"):
        if name == "dataset:shop":
            return read(load_shop().customers)
        return read(name, encoding=source.columns.get("encoding", "utf-8"))


def days_of(horizon: Any, time_unit: Any) -> int:
    """A horizon in whole days."""
    from clv.units import DAYS_PER_UNIT, parse_horizon

    return round(parse_horizon(horizon, time_unit) * DAYS_PER_UNIT[time_unit])


def _horizon(text: str, time_unit: Any) -> float | str | None:
    """A number of units, a length of time, or None for ever; refused here if it is neither."""
    from clv.units import parse_horizon

    if text.strip().lower() == "forever":
        return None
    try:
        value: float | str = float(text)
    except ValueError:
        value = text
    with usage_error("--horizon"):
        return parse_horizon(value, time_unit)
