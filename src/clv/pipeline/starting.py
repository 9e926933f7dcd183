"""A first configuration, from what the user's data look like."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clv.databases import is_url, open_database
from clv.databases._tables import columns_of
from clv.errors import ConfigurationError
from clv.pipeline.configuration import (
    Configuration,
    ContractSection,
    ForecastSection,
    GateSection,
    ModelsSection,
    NoticeSection,
    OutputsSection,
    Section,
)
from clv.pipeline.data import Night, settled
from clv.pipeline.secrets import expand
from clv.tables._sources import open_source
from clv.tables.transactions import Transactions, read_transactions

#: What columns are commonly called, best first; compared without case, spaces and underscores.
_COMMON = {
    "customer_id": ("customerid", "customer", "clientid", "client", "userid", "user", "buyerid",
                    "custid", "memberid", "email", "مشتری", "کدمشتری"),
    "date": ("date", "orderdate", "timestamp", "invoicedate", "purchasedate", "orderedat",
             "createdat", "transactiondate", "datetime", "time", "day", "تاریخ", "تاریخسفارش"),
    "amount": ("amount", "total", "ordertotal", "revenue", "value", "sales", "price", "spend",
               "totalprice", "grosstotal", "مبلغ", "مبلغکل"),
    "quantity": ("quantity", "qty", "pieces", "units", "تعداد"),
    "unit_price": ("unitprice", "priceperunit", "priceeach", "itemprice", "قیمتواحد"),
    "order_id": ("orderid", "invoice", "invoiceno", "ordernumber", "transactionid", "شمارهسفارش"),
}  # fmt: skip

#: Holdouts to choose from: the shortest in which enough is bought to judge by.
_HOLDOUTS = (8, 13, 26, 52)
_ENOUGH = 200

_ABOUT: dict[type[Section], dict[str, str]] = {
    ModelsSection: {
        "name": "of the folder in the registry",
        "registry": "folder of all models, beside this file",
        "purchases": "the candidates; the one that foresees best is the challenger",
        "spend": "what a purchase is worth",
        "spend_purchases": '"repeat" purchases, "all", or the value of "each"',
        "method": "how models are fitted: mle, map, laplace or mcmc (slow)",
        "time_unit": "of ages and parameters",
        "seed": "of everything random",
        "mlflow": "address of an MLflow server that gets a copy of every version",
    },
    ContractSection: {
        "enabled": "false: the rules are reported and decide nothing",
        "max_rejected": "share of rows that cannot be used",
        "max_days_missing": "days between the last row and the night",
        "min_customers": "fewer is not a customer base",
        "max_customer_share": "share of the rows that one single customer may have",
        "max_duplicates": "share of rows that repeat another (customer, day and amount)",
        "max_future": "share of rows dated after today",
        "recent_days": "length of the stretches whose volumes and amounts are compared",
        "min_volume": "rows of the last stretch over the usual number, at least",
        "max_volume": "and at most",
        "suspicious_volume": "below this, it is asked whether rows are missing here and there:",
        "min_not_thinned": "rows per purchase times new customers, over the usual, at least",
        "max_amount_ratio": "factor between the median amounts of the last stretch and before",
        "max_history_change": "change of the past (customers, purchases, value) since it was told",
        "max_history_psi": "the same for distributions: population stability index",
        "max_history_ks": "and Kolmogorov-Smirnov distance",
        "max_drift_psi": "PSI against the champion's data that no change of behaviour makes",
    },
    GateSection: {
        "holdout": "what candidates are judged on: the last stretch before the night",
        "confidence": "of the intervals that tell a difference from noise",
        "resamples": "behind these intervals",
        "min_gain": "relative gain in log score that matters; as much loss is worse",
        "champion_bias": "the champion has drifted if its purchases are off by more than this",
        "champion_spend_bias": "or its value of a purchase",
        "max_bias": "a challenger that is off by more is refused, unless the champion is, too",
        "max_spend_bias": "the same for the value of a purchase",
        "max_calibration_error": "mean gap by tenth of the customers, relative",
        "max_coverage_error": "distance of the coverage of 90 % intervals from 90 %",
        "max_against_history": "error over that of simply looking back",
        "max_parameter_factor": "between what the parameters mean, champion and challenger",
        "psi": "data drift that is worth a notice: population stability index",
        "ks": "and Kolmogorov-Smirnov distance",
        "max_new_customer_factor": "and factor between the shares of new customers",
        "allow_boundary": "whether a fit may end at a limit of its parameters",
    },
    ForecastSection: {
        "horizon": 'how far ahead, or "forever"',
        "discount_rate": "effective per year",
        "margin": "share of the amounts that is left",
        "interval": "probability of the intervals",
        "interval_kind": '"predictive" or "expected"',
    },
    OutputsSection: {
        "folder": "the files of the last night are in its folder current/",
        "files": ".parquet, .csv, .xlsx or .jsonl",
        "keep": "how many nights' files are kept",
    },
    NoticeSection: {
        "webhook": "who is told, by a POST of JSON; nobody by default",
        "on": "of what; also \"promoted\"",
        "timeout": "seconds",
    },
}  # fmt: skip

_NAMES: dict[type[Section], str] = {
    ModelsSection: "models",
    ContractSection: "contract",
    GateSection: "gate",
    ForecastSection: "forecast",
    OutputsSection: "outputs",
    NoticeSection: "notice",
}

_ENGINE = """\
# Where the rows are worked on: here, unless it is said otherwise.
# [engine]
# memory = "2GB"                             # what does not fit is kept on disk
# Or in a Spark cluster, from Parquet that all its workers see:
# [engine]
# kind = "spark"
# master = "spark://host:7077"               # or: remote = "sc://host:15002"
# options = { "spark.executor.memory" = "4g" }
"""

_DATABASES = """
# A table that every night is upserted into, by customer and day; made when it is not there.
# [[outputs.databases]]
# url = "${CLV_DATABASE_URL}"
# table = "customer_forecast"
# schema = "public"
"""


def starting_text(source: str, columns: Mapping[str, Any], *, name: str, folder: Path) -> str:
    """The text of a configuration for a source.

    Parameters
    ----------
    source
        Path or URL of a database (with variables of the environment in it).
    columns
        Arguments of `clv.read_transactions` that the user gave; the others are recognised.
    name
        Of the model.
    folder
        Where the file will be: paths are written relative to it.

    Raises
    ------
    ConfigurationError
        If a column cannot be recognised; the message lists those there are.
    """
    place, columns = _place(source, columns, folder)
    given = {
        key: value for key, value in columns.items() if key not in ("table", "schema", "query")
    }
    chosen = given | _recognised(_names_in(source, columns), given)
    found = settled(
        read_transactions(
            expand(source), **chosen, **{k: columns[k] for k in place if k in columns}
        )
    )
    night, values = _suggested(found)
    quality = found.quality
    head = (
        "# The night job of clv. Run it with: clv retrain THIS_FILE\n"
        "# What is commented out has the value that is written.\n"
        f"# Made from {quality.used:,} rows of {quality.customers:,} customers, "
        f"{quality.first_day} to {night.as_of}.\n"
    )
    parts = [head, _section("source", {**place, **chosen}, {}, {}), _ENGINE]
    for kind, title in _NAMES.items():
        defaults = kind().model_dump(by_alias=True, exclude={"databases"})
        own = {"name": name} if kind is ModelsSection else values.get(kind, {})
        parts.append(_section(title, own, defaults, _ABOUT[kind]))
        if kind is OutputsSection:
            parts.append(_DATABASES.lstrip())
    return "\n".join(parts)


def unwritable(configuration: Configuration) -> list[str]:
    """Folders of the configuration that cannot be written to, with the reason."""
    faults = []
    for text in (configuration.models.registry, configuration.outputs.folder):
        path = configuration.path(text).resolve()
        there = next(parent for parent in (path, *path.parents) if parent.exists())
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            faults.append(f"{path} cannot be written to (see {there})")
    return faults


# --- the source --------------------------------------------------------------------------------


def _place(
    source: str, columns: Mapping[str, Any], folder: Path
) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Where the source is, as the section [source] says it."""
    if is_url(expand(source)):
        kept = ("table", "schema", "query")
        return {"url": source, **{k: columns[k] for k in kept if k in columns}}, columns
    path = Path(os.path.relpath(source, folder)) if not Path(source).is_absolute() else Path(source)
    return {"path": path.as_posix()}, columns


def _names_in(source: str, columns: Mapping[str, Any]) -> list[str]:
    where = expand(source)
    if not is_url(where):
        reading = {k: columns[k] for k in ("delimiter", "encoding") if k in columns}
        opened = open_source(where, date=columns.get("date", "date"), **reading)
        return list(opened.frame.collect_schema().names())
    if "table" not in columns:
        return []
    with open_database(where) as engine, engine.connect() as connection:
        return list(columns_of(connection, columns["table"], columns.get("schema")))


def _recognised(names: Sequence[str], given: Mapping[str, Any]) -> dict[str, str]:
    """The columns that the user has not named, by what columns are commonly called."""
    plain = {re.sub(r"[\W_]+", "", name).lower(): name for name in names}
    found = {
        role: plain[common]
        for role, spellings in _COMMON.items()
        if role not in given
        for common in [next((s for s in spellings if s in plain), "")]
        if common
    }
    priced = {"quantity", "unit_price"} <= {*found, *given}
    if "amount" in given or ("amount" in found and not priced):
        found = {role: n for role, n in found.items() if role not in ("quantity", "unit_price")}
    elif priced:
        found.pop("amount", None)
    else:
        found = {role: n for role, n in found.items() if role not in ("quantity", "unit_price")}
    known = {*found, *given}
    lacking = [role for role in ("customer_id", "date") if role not in known]
    if not ({"amount"} <= known or {"quantity", "unit_price"} <= known):
        lacking.append("amount")
    if lacking and names:
        raise ConfigurationError(
            f"no column looks like {', '.join(lacking)}; say which it is with "
            f"{', '.join('--' + role.replace('_', '-') for role in lacking)}. There are "
            f"{', '.join(map(repr, names))}"
        )
    return found


# --- what the data suggest -----------------------------------------------------------------------


def _suggested(transactions: Transactions) -> tuple[Night, dict[type[Section], dict[str, Any]]]:
    """A holdout in which enough is bought, and gaps between days that are usual here."""
    last = transactions.quality.last_day
    assert last is not None
    night = Night(transactions, last, "week", "8 weeks")
    days, _, buyers = night.days
    order = np.argsort(days)
    days, buyers = days[order], buyers[order]
    span = int(days[-1] - days[0])
    weeks = next(
        (w for w in _HOLDOUTS if buyers[days > days[-1] - 7 * w].sum() >= _ENOUGH), _HOLDOUTS[-1]
    )
    weeks = max(1, min(weeks, span // 7 // 4))
    recent = days[days > days[-1] - 365]
    gap = int(np.diff(recent).max(initial=1))
    values: dict[type[Section], dict[str, Any]] = {
        GateSection: {"holdout": f"{weeks} weeks"},
        ContractSection: {
            "max_days_missing": max(ContractSection().max_days_missing, 2 * gap),
            "min_customers": max(2, min(ContractSection().min_customers, len(night.full) // 2)),
        },
    }
    return night, values


# --- TOML ----------------------------------------------------------------------------------------


def _section(
    title: str, own: Mapping[str, Any], defaults: Mapping[str, Any], about: Mapping[str, str]
) -> str:
    """A section: what differs from the defaults is set, the rest is there to be uncommented."""
    lines = [f"[{title}]"]
    for key in dict.fromkeys((*own, *defaults)):
        value = own.get(key, defaults.get(key))
        set_ = key in own and own[key] != defaults.get(key)
        text = f"{key} = {_toml('' if value is None else value)}"
        line = text if set_ else f"# {text}"
        lines.append(f"{line:<44} # {about[key]}" if key in about else line)
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, dt.date):
        return value.isoformat()
    # the basic strings of TOML are those of JSON
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
