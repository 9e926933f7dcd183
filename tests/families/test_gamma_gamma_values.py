"""Gamma-Gamma fitted to the value of each purchase instead of the customers' means."""

from __future__ import annotations

import mpmath
import numpy as np
import pandas as pd
import pytest

import clv
from clv.errors import DataError, FitError, MissingColumnError
from clv.evaluation import metrics
from clv.families import gamma_gamma
from clv.fitted import spend_rows
from clv.inference.maximum_likelihood import maximize
from clv.numerics import backend
from clv.numerics.histories import SpendHistory, ValueHistory
from clv.tables.rfm import RFM

TRUTH = gamma_gamma.Parameters(2.5, 4.0, 40.0)


def history_of(customers: list[list[float]]) -> ValueHistory:
    return ValueHistory(
        np.array([len(values) for values in customers], dtype=float),
        np.array([np.mean(values) for values in customers]),
        np.array([np.log(values).sum() for values in customers]),
    )


def drawn(customers: int, seed: int = 1) -> list[list[float]]:
    """Most buy once, as in real shops."""
    rng = np.random.default_rng(seed)
    level = rng.gamma(TRUTH.q, 1.0 / TRUTH.v, customers)
    counts = rng.geometric(0.6, customers)
    return [rng.gamma(TRUTH.p, 1.0 / nu, n).tolist() for nu, n in zip(level, counts, strict=True)]


@pytest.mark.parametrize(
    "values", [[31.0], [12.5, 80.0], [3.0, 3.0, 3.0, 200.0], [9.0] * 7, [1e-3, 5e4]]
)
@pytest.mark.parametrize("parameters", [(6.25, 3.74, 15.4), (0.7, 0.9, 400.0)])
def test_density_of_the_values_against_quadrature(
    values: list[float], parameters: tuple[float, float, float]
) -> None:
    """Every value is Gamma(p, nu), and nu is integrated out."""
    with mpmath.workdps(30):
        p, q, v = map(mpmath.mpf, parameters)

        def density(log_nu: mpmath.mpf) -> mpmath.mpf:
            nu = mpmath.exp(log_nu)
            found = v**q * nu ** (q - 1) * mpmath.exp(-v * nu) / mpmath.gamma(q) * nu
            for z in values:
                found *= nu**p * mpmath.mpf(z) ** (p - 1) * mpmath.exp(-nu * z) / mpmath.gamma(p)
            return found

        shape, rate = float(p * len(values) + q), float(v) + sum(values)
        middle, reach = np.log(shape / rate), 14.0 / np.sqrt(shape)
        nodes = np.linspace(middle - 4 * reach, middle + reach, 41).tolist()
        expected = float(mpmath.log(mpmath.quad(density, nodes)))
    found = gamma_gamma.log_likelihood(
        gamma_gamma.Parameters(*parameters), history_of([values]), backend
    )
    assert found[0] == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_the_fast_path_is_the_row_formula_and_its_derivatives() -> None:
    history = history_of(drawn(400))
    weights = np.random.default_rng(2).integers(1, 4, 400).astype(float)
    statistics = gamma_gamma.sufficient_statistics(history, weights)

    def total(parameters: np.ndarray) -> float:
        at = gamma_gamma.Parameters(*parameters)
        return float(weights @ gamma_gamma.log_likelihood(at, history, backend))

    at = np.array([3.1, 2.7, 55.0])
    value, gradient, hessian = gamma_gamma.log_likelihood_derivatives(
        gamma_gamma.Parameters(*at), statistics
    )
    assert value == pytest.approx(total(at), rel=1e-12)
    steps = np.diag(1e-4 * at)
    slope = [(total(at + h) - total(at - h)) / (2 * h.sum()) for h in steps]
    np.testing.assert_allclose(gradient, slope, rtol=1e-5, atol=1e-5)
    for step, row in zip(steps, hessian, strict=True):
        up, down = (
            gamma_gamma.log_likelihood_derivatives(
                gamma_gamma.Parameters(*(at + sign * step)), statistics
            )[1]
            for sign in (1, -1)
        )
        np.testing.assert_allclose(row, (up - down) / (2 * step.sum()), rtol=1e-5, atol=1e-7)
    many = np.stack([at, 2 * at], axis=1)
    found = gamma_gamma.log_likelihood_values(gamma_gamma.Parameters(*many), statistics)
    np.testing.assert_allclose(found, [total(at), total(2 * at)], rtol=1e-12)


def test_estimates_are_the_truth_and_far_surer_than_from_means() -> None:
    history = history_of(drawn(4_000))
    ones = np.ones(4_000)
    each = maximize(gamma_gamma, history, ones, {"money": 30.0})
    means = maximize(gamma_gamma, SpendHistory(*history[:2]), ones, {"money": 30.0})
    error, vague = (np.sqrt(np.diag(fit.log_covariance)) for fit in (each, means))
    assert np.all(np.abs(np.log(each.parameters / TRUTH)) < 3.5 * error)
    assert error[0] < vague[0] / 2
    assert np.all(error < vague)


# --- as a user meets it ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def cdnow_39() -> RFM:
    return clv.rfm_summary(
        clv.read_transactions(clv.datasets.load_cdnow()),
        calibration_period_end="1997-09-30",
        observation_period_end="1998-06-30",
    )


def test_amounts_are_foreseen_better_than_from_means(cdnow_39: RFM) -> None:
    """The mean of one purchase is taken for nearly all that there is to know: p comes out at 10."""
    fits = {name: clv.GammaGammaModel(purchases=name).fit(cdnow_39) for name in ("all", "each")}
    assert fits["each"].estimates[0] == pytest.approx(3.67, abs=0.01)
    assert fits["all"].estimates[0] == pytest.approx(9.88, abs=0.01)
    assert fits["each"].title == "Gamma-Gamma of each purchase"
    count, spent = cdnow_39.array("holdout_purchases"), cdnow_39.array("holdout_spend")
    bought = count > 0
    errors = {
        name: metrics.root_mean_squared_error(
            spent[bought], (count * fit.expected_spend(cdnow_39))[bought]
        )
        for name, fit in fits.items()
    }
    assert errors["each"] < 0.95 * errors["all"]


def test_by_other_methods_and_from_a_table_of_ones_own(cdnow_39: RFM) -> None:
    model = clv.GammaGammaModel(purchases="each")
    fitted = model.fit(cdnow_39)
    laplace = model.fit(cdnow_39, method="laplace", draws=100)
    np.testing.assert_allclose(laplace.estimates, fitted.estimates, rtol=0.02)
    frame = cdnow_39.to_pandas()
    own = clv.rfm_table(
        frame.rename(columns={"sum_log_values": "logs"}), time_unit="week", sum_log_values="logs"
    )
    np.testing.assert_array_equal(model.fit(own).estimates, fitted.estimates)
    assert clv.GammaGammaModel(**model.arguments()).purchases == fitted.purchases == "each"


def test_purchases_worth_nothing() -> None:
    """Their customers do not enter the fit, which is said, and are predicted all the same."""
    rng = np.random.default_rng(4)
    lines = pd.DataFrame(
        {
            "customer_id": np.repeat(np.arange(60), 3),
            "date": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, 180), "D"),
            "amount": rng.gamma(3.0, np.repeat(rng.gamma(3.0, 5.0, 60), 3)).round(2) + 0.01,
        }
    ).drop_duplicates(["customer_id", "date"])
    lines.loc[lines["customer_id"] < 5, "amount"] = 0.0
    lines.loc[lines.index[lines["customer_id"] == 4][:1], "amount"] = 12.0
    rfm = clv.rfm_summary(clv.read_transactions(lines), observation_period_end="2024-12-31")
    assert np.isnan(rfm.array("sum_log_values")).sum() == 5
    fitted = clv.GammaGammaModel(purchases="each").fit(rfm)
    assert fitted.n_customers == 55
    assert any("5 customers with a purchase were left out" in note for note in fitted.notes)
    assert np.isfinite(fitted.expected_spend(rfm)).all()


def test_what_is_refused(cdnow_39: RFM) -> None:
    model = clv.GammaGammaModel(purchases="each")
    frame = cdnow_39.to_pandas()
    with pytest.raises(MissingColumnError, match="has no sum_log_values; make it with"):
        model.fit(clv.rfm_table(frame.drop(columns="sum_log_values"), time_unit="week"))
    frame["sum_log_values"] = np.log(frame["total_value"].clip(0.01)) * (frame["frequency"] + 1)
    with pytest.raises(DataError, match="larger than the mean value allows"):
        clv.rfm_table(frame, time_unit="week")
    with pytest.raises(DataError, match="must be one of repeat, all, each"):
        clv.GammaGammaModel(purchases="every")
    nothing = spend_rows(cdnow_39, "each").places[:1]
    frame = cdnow_39.to_pandas().iloc[nothing]
    with pytest.raises(FitError, match="1 of 1 customers have a purchase"):
        model.fit(clv.rfm_table(frame, time_unit="week"))
