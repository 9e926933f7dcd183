"""A copy of a version in MLflow, for those who have it: parameters, metrics, files."""

from __future__ import annotations

from typing import Any

from clv.errors import RegistryError
from clv.registry.version import Version


def log_version(version: Version, tracking_uri: str) -> str:
    """Log a version as a run of the experiment that is named like the model.

    Returns
    -------
    str
        The id that MLflow gave it.

    Raises
    ------
    RegistryError
        If MLflow is not installed.
    """
    try:
        import mlflow
    except ModuleNotFoundError as error:
        raise RegistryError("logging to MLflow needs it; run: pip install mlflow-skinny") from error
    version.verify()
    manifest, metrics = version.manifest, version.metrics["decision"]
    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_experiment(manifest["name"])
    with mlflow.start_run(run_name=version.name) as run:
        mlflow.log_params(
            {
                "as_of": manifest["as_of"],
                "data_fingerprint": version.data_fingerprint,
                "code": manifest["code"],
                **{f"specification.{k}": v for k, v in version.specification.items()},
            }
        )
        mlflow.log_metrics(_numbers("challenger", metrics["challenger"]))
        mlflow.set_tag("verdict", metrics["verdict"])
        mlflow.log_artifacts(str(version.folder))
        return str(run.info.run_id)


def _numbers(prefix: str, record: dict[str, Any]) -> dict[str, float]:
    return {
        f"{prefix}.{name}": float(value)
        for name, value in record.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
