"""Bayesian fits where something is unusual: priors, few customers, the keyboard, the exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest

import clv
from clv import Prior
from clv.errors import ConvergenceError, ConvergenceWarning


@pytest.mark.parametrize("method", ["laplace", "map"])
def test_priors_that_contradict_the_data_are_named(cdnow, method) -> None:
    """A mean interval of 1,600 to 5,400 weeks; by the data alone it is 18, give or take 1."""
    slow = {"purchase_interval": Prior("LogNormal", mu=8.0, sigma=0.3)}
    fitted = clv.BetaGeoModel().fit(cdnow, method=method, priors=slow)
    free = clv.BetaGeoModel().fit(cdnow, method=method)
    z, usual = (np.log(f.draws[:, 1] / f.draws[:, 0]) for f in (fitted, free))
    # two normals: precisions add up, and the mean is where they pull equally
    precision = 1 / usual.var()
    middle = (8.0 / 0.3**2 + usual.mean() * precision) / (1 / 0.3**2 + precision)
    assert usual.mean() + 2 * usual.std() < z.mean()
    assert z.mean() == pytest.approx(middle, abs=0.15)
    said = [note for note in fitted.notes if "contradict the prior of purchase_interval" in note]
    assert len(said) == 1
    assert "it expects 1.67e+03 to 5.35e+03" in said[0]
    assert said[0] in repr(fitted)
    assert np.isfinite(fitted.expected_purchases(cdnow, 39)).all()
    assert not any("contradict" in note for note in free.notes)


def test_a_prior_that_wins_against_the_data_is_named_too(cdnow) -> None:
    """So narrow that nothing moves it: the posterior alone does not look odd."""
    held = {"dropout_share": Prior("Beta", alpha=9_000, beta=1_000)}
    fitted = clv.BetaGeoModel().fit(cdnow, method="laplace", priors=held)
    share = fitted.draws[:, 2] / (fitted.draws[:, 2] + fitted.draws[:, 3])
    assert share.mean() == pytest.approx(0.86, abs=0.01)  # .25 by the data alone
    assert any("contradict the prior of dropout_share" in note for note in fitted.notes)


def test_a_narrow_prior_that_agrees_is_not_named(cdnow) -> None:
    agreed = {"purchase_interval": Prior("LogNormal", mu=np.log(18.0), sigma=0.05)}
    fitted = clv.BetaGeoModel().fit(cdnow, method="laplace", priors=agreed)
    assert not any("contradict" in note for note in fitted.notes)


def test_priors_that_leave_open_what_data_leave_open_are_refused() -> None:
    """Nobody is seen to drop out, and the prior does not mind: there is no mode."""
    rng = np.random.default_rng(1)
    T = np.full(300, 50.0)
    x = rng.poisson(20, 300).astype(float)
    frame = pd.DataFrame(
        {"customer_id": np.arange(300), "frequency": x, "recency": T - 0.01, "T": T}
    )
    table = clv.rfm_table(frame, time_unit="week")
    flat = {"a": Prior("HalfFlat"), "b": Prior("HalfFlat")}
    with pytest.raises(ConvergenceError, match="the priors do not bound"):
        clv.BetaGeoModel().fit(table, method="laplace", priors=flat)
    # the defaults do
    assert clv.BetaGeoModel().fit(table, method="map").parameters["a"] < 1


def test_fifty_customers_are_enough_for_a_posterior(cdnow) -> None:
    few = clv.rfm_table(cdnow.to_pandas().iloc[::47].head(50), time_unit="week")
    fitted = clv.BetaGeoModel().fit(few, method="laplace")
    assert fitted.convergence.converged
    low, high = np.quantile(fitted.draws[:, 0], [0.05, 0.95])
    assert high / low > 1.5  # little is known
    assert (fitted.expected_purchases(few, 39) > 0).all()


def test_chains_that_are_too_short_are_called_so(cdnow) -> None:
    with pytest.warns(ConvergenceWarning, match=r"BG/NBD: not to be trusted \(.*sample size"):
        fitted = clv.BetaGeoModel().fit(
            cdnow, method="mcmc", chains=2, tune=100, samples=25, seed=1, progress=False
        )
    assert not fitted.convergence.converged
    assert "not to be trusted" in fitted.notes[0]
    assert "not to be trusted" in repr(fitted)


def test_covariates_have_a_posterior_too(cdnow) -> None:
    shares = pd.DataFrame(
        {
            "customer_id": cdnow["customer_id"],
            "half": np.where(np.arange(len(cdnow)) % 2, "odd", "even"),
        }
    )
    table = cdnow.with_covariates(shares, ["half"])
    model = clv.BetaGeoModel(purchase_covariates=["half"])
    likely, posterior = model.fit(table), model.fit(table, method="laplace")
    assert posterior.convergence.converged
    one, other = likely.coefficients.iloc[0], posterior.coefficients.iloc[0]
    assert other["coefficient"] == pytest.approx(
        one["coefficient"], abs=0.2 * one["standard_error"]
    )
    assert other["standard_error"] == pytest.approx(one["standard_error"], rel=0.15)
    assert posterior.expected_purchases(table, 39).shape == (len(cdnow),)


@pytest.mark.slow
@pytest.mark.parametrize("draws", [1_000_000, 50])
def test_the_keyboard_stops_sampling(draws, tmp_path) -> None:
    """In mid-sampling what was drawn is kept; before that there is one clean message."""
    program = textwrap.dedent(
        f"""
        import sys, warnings
        warnings.simplefilter("ignore")
        import clv
        rfm = clv.rfm_summary(
            clv.read_transactions(clv.datasets.load_cdnow()), observation_period_end="1998-06-30"
        )
        import nutpie, arviz
        print("ready", flush=True)
        tune = {200 if draws > 50 else 1_000_000}
        fitted = clv.BetaGeoModel().fit(
            rfm, method="mcmc", chains=2, tune=tune, samples={draws}, progress=False, seed=1
        )
        print(fitted.posterior.samples.shape[1], fitted.posterior.interrupted)
        print(fitted.convergence.message)
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(8 if draws > 50 else 2)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=120)
    if draws > 50:
        kept, interrupted = out.split()[:2]
        assert int(kept) >= 50, errors
        assert interrupted == "True"
        assert "stopped from the keyboard" in out
    else:
        assert errors.strip().endswith("nothing was fitted")
        assert process.returncode != 0


def test_the_command_line_ends_with_4_when_chains_do_not_converge(monkeypatch) -> None:
    from click.testing import CliRunner

    from clv.cli import program
    from clv.inference import plan

    usual = plan.Plan.of

    def short(*given):
        wanted = usual(*given)
        return wanted._replace(chains=wanted.chains._replace(chains=2, tune=100, samples=25))

    monkeypatch.setattr(plan.Plan, "of", short)
    words = "forecast dataset:cdnow --observation-period-end 1998-06-30 --method mcmc"
    result = CliRunner().invoke(program, words.split())
    assert result.exit_code == 4
    assert "not to be trusted" in result.stderr
    assert not result.stdout
