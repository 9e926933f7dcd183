"""What a reading, a fit and a forecast come to: as a record for programs, as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clv.cli.console import facts, table, tell

if TYPE_CHECKING:
    from clv.fitted import Fitted
    from clv.forecast import Forecast
    from clv.tables.quality import Quality
    from clv.tables.rfm import RFM
    from clv.totals import Total

#: Sums over all customers that a forecast is summed up in.
_TOTALS = ("expected_purchases", "residual_value", "historical_value", "lifetime_value")


def quality_record(quality: Quality) -> dict[str, Any]:
    """The account of a reading."""
    names = ("rows", "used", "rejected", "reasons", "first_day", "last_day", "refund_rows")
    record = {name: getattr(quality, name) for name in names}
    return {**record, "zero_rows": quality.zero_rows, "customers": quality.customers}


def table_record(rfm: RFM) -> dict[str, Any]:
    """The table that models were fitted on."""
    (frequency,), weights = rfm.weighted("frequency")
    return {
        "customers": len(rfm),
        "repeat_buyers": int(weights[frequency > 0].sum()),
        "repeat_purchases": int((weights * frequency).sum()),
        "time_unit": rfm.time_unit,
        "observation_period_end": rfm.observation_period_end,
        "calibration_period_end": rfm.calibration_period_end,
    }


def fitted_record(fitted: Fitted) -> dict[str, Any]:
    """A fitted model."""
    return {
        "model": fitted.model_name,
        "customers": fitted.n_customers,
        "parameters": fitted.parameters,
        "standard_errors": fitted.standard_errors,
        "log_likelihood": fitted.log_likelihood,
        "aic": fitted.aic,
        "bic": fitted.bic,
        "converged": fitted.convergence.converged,
        "boundary": fitted.convergence.boundary,
        "method": fitted.method,
        "message": fitted.convergence.message,
    }


def forecast_record(forecast: Forecast) -> dict[str, Any]:
    """A forecast: what it is of, and its sums over all customers."""
    return {
        "as_of": forecast.as_of,
        "time_unit": forecast.time_unit,
        "horizon": forecast.horizon,
        "discount_rate": forecast.discount_rate,
        "interval": forecast.interval,
        "interval_kind": None if forecast.interval is None else forecast.interval_kind,
        "customers": len(forecast),
        "expected_alive": forecast.sum("probability_alive"),
        **{name: forecast.sum(name) for name in _TOTALS},
        "totals": [total._asdict() for total in forecast.totals],
        "calibration": None if forecast.calibration is None else forecast.calibration.to_dict(),
        "totals_before_calibration": [total._asdict() for total in forecast.before],
    }


def describe_reading(name: str, quality: Quality) -> None:
    """One line on what was read."""
    left = f", {quality.rejected:,} rejected" if quality.rejected else ""
    tell(
        f"{name}: {quality.used:,} of {quality.rows:,} rows used{left}; {quality.customers:,} "
        f"customers, {quality.first_day} to {quality.last_day}"
    )


def describe_fits(*fits: Fitted) -> None:
    """One line per model."""
    for fitted in fits:
        values = "  ".join(f"{name} {value:.4g}" for name, value in fitted.parameters.items())
        ended = fitted.convergence
        state = "converged" if ended.boundary is None else f"at a boundary: {ended.boundary}"
        if fitted.posterior is not None:
            state = ended.message
        likely = fitted.log_likelihood  # a stack has none
        ends = f"log-likelihood {likely:,.2f}, {state}" if np.isfinite(likely) else state
        tell(f"{fitted.title}: {values}  ({ends})")


def describe_forecast(forecast: Forecast, most: int = 10) -> None:
    """The sums, and the customers that are worth most from here on."""
    tell()
    tell(f"All {len(forecast):,} customers, {period(forecast)}:")
    intervals = {total.name: total for total in forecast.totals}

    def line(name: str, digits: int) -> str:
        text = amount(forecast.sum(name), digits)
        if name not in intervals:
            return text
        return with_interval(intervals[name], digits)

    def earlier(name: str, digits: int) -> list[tuple[str, str]]:
        """What it was before calibration."""
        return [
            ("- before calibration", with_interval(total, digits))
            for total in forecast.before
            if total.name == name
        ]

    facts(
        [
            ("expected to be alive now", f"{forecast.sum('probability_alive'):,.0f}"),
            ("expected purchases", line("expected_purchases", 0)),
            *earlier("expected_purchases", 0),
            ("value to come", line("residual_value", 2)),
            *earlier("residual_value", 2),
            ("value so far", line("historical_value", 2)),
            ("lifetime value", line("lifetime_value", 2)),
        ]
    )
    if len(forecast):
        tell()
        best_customers(forecast, most)


def amount(value: float, digits: int) -> str:
    """A number for people; missing ones as a dash."""
    return f"{value:,.{digits}f}" if np.isfinite(value) else "–"


def with_interval(total: Total, digits: int) -> str:
    """A total and its interval."""
    value, low, high = (amount(x, digits) for x in (total.value, total.low, total.high))
    return f"{value}  ({total.interval:.0%} interval {low} to {high})"


def period(forecast: Forecast) -> str:
    """What the forecast looks at, in words."""
    unit = forecast.time_unit
    ahead = "for ever" if forecast.horizon is None else f"{forecast.horizon:,.4g} {unit}s"
    start = "" if forecast.as_of is None else f" from {forecast.as_of}"
    return f"{ahead}{start}, discounted at {forecast.discount_rate:.4g} a year"


def best_customers(forecast: Forecast, most: int) -> None:
    """The customers that are worth most from here on, as a table."""
    best = forecast.best("residual_value", most)
    with_interval = "residual_value_low" in forecast.columns
    headings = ["customer", "alive", "purchases", "value to come"]
    if with_interval:
        share = f"{forecast.interval:.0%}"
        headings[3:] = [f"{share} interval", "value to come", f"{share} interval"]

    def cells(customer: Any, row: int) -> list[str]:
        def at(name: str) -> float:
            return float(best.array(name)[row])

        def between(name: str, digits: int) -> str:
            return f"{amount(at(f'{name}_low'), digits)} – {amount(at(f'{name}_high'), digits)}"

        shown = [str(customer), f"{at('probability_alive'):.0%}"]
        shown.append(amount(at("expected_purchases"), 1))
        if with_interval:
            has_counts = "purchases_low" in forecast.columns
            digits = 0 if forecast.interval_kind == "predictive" else 1
            shown.append(between("purchases", digits) if has_counts else "–")
        shown.append(f"{at('residual_value'):,.2f}")
        if with_interval:
            shown.append(between("residual_value", 0))
        return shown

    title = f"Worth most from here on ({min(most, len(forecast))} of {len(forecast):,})"
    table(title, headings, [cells(c, r) for r, c in enumerate(best.values("customer_id"))])
    if with_interval:
        kind = {
            "predictive": "Intervals are of what each customer will do (predictive).",
            "expected": "Intervals are of the expected value only, not of what a customer will do.",
        }
        tell(kind[forecast.interval_kind])
