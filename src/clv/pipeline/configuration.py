"""What the night job is told: one frozen value, checked before anything is read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from clv.model import Method
from clv.pipeline.secrets import holds_secret
from clv.tables._memory import parse_memory
from clv.units import parse_horizon

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]

#: Calendar names of `clv.read_transactions` and its other choices.
_ENDINGS = (".parquet", ".csv", ".xlsx", ".jsonl")

_NOT_FOR_SPARK = (".csv", ".tsv", ".txt", ".gz")


class Section(BaseModel):
    """Part of the configuration: frozen, and no key that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SourceSection(Section):
    """Where transactions come from, and how they are read: see `clv.read_transactions`."""

    path: str | None = None
    url: str | None = None
    table: str | None = None
    schema_name: str | None = Field(default=None, alias="schema")
    query: str | None = None
    customer_id: str = "customer_id"
    date: str = "date"
    amount: str | None = None
    quantity: str | None = None
    unit_price: str | None = None
    order_id: str | None = None
    calendar: Literal["gregorian", "jalali"] = "gregorian"
    date_format: str | None = None
    timezone: str | None = None
    decimal: Literal[".", ","] = "."
    delimiter: str | None = None
    encoding: str = "utf-8"
    refunds: Literal["net", "drop", "error"] = "net"
    zero_amounts: Literal["keep", "drop"] = "keep"

    @model_validator(mode="after")
    def _one_place(self) -> SourceSection:
        if (self.path is None) == (self.url is None):
            raise ValueError("give path (a file, a folder, a pattern) or url (a database), one")
        if self.url is None and (self.table or self.query or self.schema_name):
            raise ValueError("table, schema and query belong to url")
        if self.url is not None and (self.table is None) == (self.query is None):
            raise ValueError("with url, name a table or give a query, one of them")
        return self

    @field_validator("url")
    @classmethod
    def _no_secret(cls, url: str | None) -> str | None:
        return _without_secret(url)


class EngineSection(Section):
    """Where the rows are worked on: here, within a given memory or not, or in a Spark cluster."""

    kind: Literal["local", "spark"] = "local"
    memory: str | None = None
    master: str | None = None
    remote: str | None = None
    options: dict[str, str] = {}

    @model_validator(mode="after")
    def _one_place(self) -> EngineSection:
        if self.kind == "local" and (self.master or self.remote or self.options):
            raise ValueError('master, remote and options belong to kind = "spark"')
        if self.kind == "spark" and (self.master is None) == (self.remote is None):
            raise ValueError(
                'with kind = "spark", give master ("spark://host:7077") or remote '
                '("sc://host:15002"), one of them'
            )
        if self.kind == "spark" and self.memory is not None:
            raise ValueError(
                'memory belongs to kind = "local"; workers have theirs from the cluster, or by '
                'options = { "spark.executor.memory" = "4g" }'
            )
        return self

    @field_validator("memory")
    @classmethod
    def _enough(cls, text: str | None) -> str | None:
        if text is not None:
            parse_memory(text)
        return text


class ModelsSection(Section):
    """What is fitted, and where it is kept."""

    name: str = Field(default="customers", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    registry: str = "models"
    purchases: tuple[str, ...] = ("bg_nbd", "mbg_nbd", "pareto_nbd")
    spend: str = "gamma_gamma"
    spend_purchases: Literal["repeat", "all", "each"] = "repeat"
    method: str = "mle"
    time_unit: Literal["day", "week", "month", "year"] = "week"
    seed: Annotated[int, Field(ge=0)] = 0
    mlflow: str | None = None

    @field_validator("purchases")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not names:
            raise ValueError("name at least one model")
        for name in names:
            _check_family(name, "purchase")
        return tuple(dict.fromkeys(names))

    @field_validator("spend")
    @classmethod
    def _known_spend(cls, name: str) -> str:
        return _check_family(name, "spend")

    @field_validator("method")
    @classmethod
    def _known_method(cls, name: str) -> str:
        if name not in get_args(Method):
            raise ValueError(f"must be one of {', '.join(get_args(Method))}")
        return name


class ContractSection(Section):
    """What the data must hold; if they do not, nothing is written (exit code 3)."""

    enabled: bool = True
    max_rejected: Share = 0.05
    max_days_missing: Annotated[int, Field(ge=0)] = 7
    min_customers: Annotated[int, Field(ge=1)] = 100
    max_customer_share: Share = 0.2
    max_duplicates: Share = 0.45
    max_future: Share = 0.001
    recent_days: Annotated[int, Field(ge=1)] = 28
    min_volume: Share = 0.35
    max_volume: Positive = 4.0
    suspicious_volume: Share = 0.65
    min_not_thinned: Share = 0.75
    max_amount_ratio: Annotated[float, Field(gt=1)] = 5.0
    max_history_change: Share = 0.1
    max_history_psi: Positive = 0.1
    max_history_ks: Share = 0.1
    max_drift_psi: Positive = 2.0


class GateSection(Section):
    """When a challenger takes the champion's place."""

    holdout: str = "8 weeks"
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.99
    resamples: Annotated[int, Field(ge=100)] = 1000
    min_gain: Annotated[float, Field(ge=0)] = 0.01
    champion_bias: Positive = 0.25
    champion_spend_bias: Positive = 0.25
    max_bias: Positive = 0.5
    max_spend_bias: Positive = 0.5
    max_calibration_error: Positive = 0.6
    max_coverage_error: Share = 0.1
    max_against_history: Positive = 1.1
    max_parameter_factor: Annotated[float, Field(gt=1)] = 5.0
    psi: Positive = 0.25
    ks: Share = 0.2
    max_new_customer_factor: Annotated[float, Field(gt=1)] = 3.0
    allow_boundary: bool = True

    @field_validator("holdout")
    @classmethod
    def _a_length(cls, text: str) -> str:
        return _check_length(text)


class ForecastSection(Section):
    """What everybody is scored with: see `clv.forecast`."""

    horizon: str = "52 weeks"
    discount_rate: Annotated[float, Field(ge=0, lt=10)] = 0.1
    margin: Annotated[float, Field(gt=0, le=1)] = 1.0
    interval: Annotated[float, Field(gt=0, lt=1)] | None = 0.9
    interval_kind: Literal["predictive", "expected"] = "predictive"

    @field_validator("horizon")
    @classmethod
    def _a_length(cls, text: str) -> str:
        return text if text == "forever" else _check_length(text)

    @model_validator(mode="after")
    def _finite(self) -> ForecastSection:
        if self.horizon == "forever" and self.discount_rate == 0:
            raise ValueError("horizon 'forever' needs a discount_rate above 0")
        return self


class DatabaseSink(Section):
    """A table that every night's forecast is upserted into."""

    url: str
    table: str
    schema_name: str | None = Field(default=None, alias="schema")

    @field_validator("url")
    @classmethod
    def _no_secret(cls, url: str) -> str:
        return _without_secret(url) or url


class OutputsSection(Section):
    """Where the forecast goes."""

    folder: str = "output"
    files: tuple[str, ...] = ("forecast.parquet",)
    keep: Annotated[int, Field(ge=1)] = 7
    databases: tuple[DatabaseSink, ...] = ()

    @field_validator("files")
    @classmethod
    def _plain_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if Path(name).name != name or not name.endswith(_ENDINGS) or name.startswith("."):
                raise ValueError(
                    f"{name!r} must be a file's name without a folder that ends in "
                    f"{', '.join(_ENDINGS)}"
                )
        if len(set(names)) < len(names):
            raise ValueError("a file is named twice")
        return names


class NoticeSection(Section):
    """Whom to tell; nobody unless a webhook is given."""

    webhook: str | None = None
    on: tuple[Literal["refused", "broken", "failed", "drift", "promoted"], ...] = (
        "refused",
        "broken",
        "failed",
        "drift",
    )
    timeout: Positive = 10.0


class Configuration(Section):
    """The whole configuration.

    Attributes
    ----------
    folder
        Of the file; paths in it are relative to it. Not part of what is hashed or stored.
    """

    source: SourceSection
    engine: EngineSection = EngineSection()
    models: ModelsSection = ModelsSection()
    contract: ContractSection = ContractSection()
    gate: GateSection = GateSection()
    forecast: ForecastSection = ForecastSection()
    outputs: OutputsSection = OutputsSection()
    notice: NoticeSection = NoticeSection()
    folder: Path = Field(default=Path(), exclude=True)

    @field_validator("engine")
    @classmethod
    def _reads_the_source(cls, engine: EngineSection, info: ValidationInfo) -> EngineSection:
        source = info.data.get("source")
        if engine.kind != "spark" or source is None:
            return engine
        if source.path is None or source.path.lower().endswith(_NOT_FOR_SPARK):
            raise ValueError(
                'kind = "spark" reads Parquet, which all workers must see: give [source] the path '
                "of a file, a folder or a pattern"
            )
        return engine

    def path(self, text: str) -> Path:
        """A path of the file, from its folder."""
        return self.folder / text

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON has it, secrets by the names of their variables."""
        return self.model_dump(mode="json", by_alias=True)


def _without_secret(url: str | None) -> str | None:
    if url is not None and holds_secret(url):
        raise ValueError(
            "a password must not stand in the file; write ${CLV_DATABASE_URL} and set that "
            "variable in the environment"
        )
    return url


def _check_length(text: str) -> str:
    parse_horizon(text, "week")
    return text


def _check_family(name: str, kind: str) -> str:
    import difflib

    from clv import families

    known = [n for n in families.names() if str(families.find(n).KIND) == kind]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}"
        raise ValueError(f"no {kind} model is called {name!r}{hint}")
    return name
