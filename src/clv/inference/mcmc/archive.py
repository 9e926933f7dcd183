"""A posterior for ArviZ, on both its lines, and as a NetCDF file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from clv.inference.coordinates import Coordinates
from clv.inference.posterior import Posterior
from clv.numerics.backend import Array

#: Elements of the matrix of rows times draws of log-likelihoods that is still written down.
LARGEST = 50_000_000

#: Draws from the prior.
PRIOR_DRAWS = 1_000


def inference_data(
    posterior: Posterior,
    parameters: Sequence[str],
    coefficients: Sequence[str],
    user_logs: Any,
    coordinates: Coordinates | None = None,
) -> Any:
    """An ``InferenceData`` (arviz 0) or a ``DataTree`` (arviz 1).

    Parameters
    ----------
    posterior
        With samples (chains, draws, K).
    parameters, coefficients
        Names of the first, and labels of the last of the K.
    user_logs
        Takes estimates of shape (..., K) to logs of parameters, and coefficients, as users read
        them.
    coordinates
        Of the prior, to draw from it; None leaves the group out.

    Returns
    -------
    InferenceData or DataTree
        Groups ``posterior``, ``sample_stats``, ``prior``, ``observed_data`` (the distinct rows and
        the ``weight`` of each) and ``log_likelihood`` of *one* customer of each row; the last two
        while the rows are there, the last one while it is not too large.
    """
    groups = {"posterior": _draws(user_logs(posterior.samples), parameters, coefficients)}
    if posterior.statistics:
        groups["sample_stats"] = _dataset(posterior.statistics, ("chain", "draw"))
    if coordinates is not None and all(s.prior.proper for s in coordinates.stated):
        rng = np.random.default_rng(posterior.seed)
        drawn = coordinates.estimates_at(coordinates.sample(PRIOR_DRAWS, rng)[None])
        groups["prior"] = _draws(user_logs(drawn), parameters, coefficients)
    observed = posterior.observed
    if observed is not None:
        fields = dict(zip(type(observed.history)._fields, observed.history, strict=True))
        groups["observed_data"] = _dataset({**fields, "weight": observed.weights}, ("row",))
        if len(observed) * len(posterior.points) <= LARGEST:
            values = observed.of_rows(np.log(posterior.points).T)
            shape = (*posterior.samples.shape[:2], len(observed))
            groups["log_likelihood"] = _dataset(
                {"customer": values.T.reshape(shape)}, ("chain", "draw", "row")
            )
    for group in groups.values():
        group.attrs["created_by"] = f"predictive-clv {version('predictive-clv')}"
    return _tree(groups)


def _tree(groups: Mapping[str, Any]) -> Any:
    import arviz
    import xarray

    if int(version("arviz").split(".")[0]) < 1:
        return arviz.InferenceData(**groups)
    return xarray.DataTree.from_dict({f"/{name}": data for name, data in groups.items()})


def _draws(logs: Array, parameters: Sequence[str], coefficients: Sequence[str]) -> Any:
    k = len(parameters)
    with np.errstate(over="ignore"):
        values = {name: np.exp(logs[..., j]) for j, name in enumerate(parameters)}
    data = _dataset(values, ("chain", "draw"))
    if coefficients:
        data["coefficient"] = (("chain", "draw", "label"), logs[..., k:])
        data = data.assign_coords(label=list(coefficients))
    return data


def _dataset(values: Mapping[str, Array], dims: tuple[str, ...]) -> Any:
    import xarray

    first = next(iter(values.values()))
    where = {d: np.arange(n) for d, n in zip(dims, np.shape(first), strict=True)}
    return xarray.Dataset({name: (dims, np.asarray(v)) for name, v in values.items()}, where)


# --- files ----------------------------------------------------------------------------------------


def write(posterior: Posterior, path: Path) -> None:
    """Write draws and statistics of the sampler as NetCDF; no customer rows."""
    import xarray

    logs = np.log(posterior.samples)
    estimates = xarray.Dataset(
        {"log_estimate": (("chain", "draw", "name"), logs)}, {"name": list(posterior.names)}
    )
    groups = {"/": xarray.Dataset(), "/posterior": estimates}
    if posterior.statistics:
        groups["/sample_stats"] = _dataset(posterior.statistics, ("chain", "draw"))
    xarray.DataTree.from_dict(groups).to_netcdf(path, engine="h5netcdf")


def read(path: Path) -> tuple[Array, dict[str, Array]]:
    """Samples and statistics, as `write` has written them."""
    import xarray

    with xarray.open_datatree(path, engine="h5netcdf") as tree:
        samples = np.exp(tree["posterior"]["log_estimate"].values)
        statistics = {}
        if "sample_stats" in tree.children:
            group = tree["sample_stats"]
            statistics = {str(name): group[name].values for name in group.data_vars}
    return np.asarray(samples), statistics
