"""How fitted models show themselves, in a terminal and in Jupyter."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from clv.fitted import Fitted


def fitted_text(fitted: Fitted) -> str:
    """A fitted model as a few lines of text."""
    rows = _rows(fitted)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    table = [
        "  ".join(
            cell.ljust(width) if i in (0, 3) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([_headline(fitted), *table, _footer(fitted), *_remarks(fitted)])


def fitted_html(fitted: Fitted) -> str:
    """A fitted model as an HTML table; every text is escaped."""
    head, *body = _rows(fitted)
    header = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    lines = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in body
    )
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in _remarks(fitted))
    return (
        f"<div><p><b>{html.escape(_headline(fitted))}</b></p>"
        f"<table><thead><tr>{header}</tr></thead><tbody>{lines}</tbody></table>"
        f"<p>{html.escape(_footer(fitted))}</p>{notes}</div>"
    )


def _headline(fitted: Fitted) -> str:
    end = fitted.observation_period_end
    seen = "" if end is None else f" up to {end}"
    return (
        f"{fitted.title}, fitted to {fitted.n_customers:,} customers{seen}, "
        f"times in {fitted.time_unit}s"
    )


def _footer(fitted: Fitted) -> str:
    return (
        f"log-likelihood {fitted.log_likelihood:,.4f}   AIC {fitted.aic:,.2f}   "
        f"BIC {fitted.bic:,.2f}   {fitted.convergence.message.split('. ')[0]}"
    )


def _remarks(fitted: Fitted) -> list[str]:
    """What covariates do, and what a user should know."""
    return [*map(str, fitted.effects()), *fitted.notes]


def _rows(fitted: Fitted) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("parameter", "estimate", "std. error", "meaning")]
    errors = fitted.standard_errors
    for name, number in fitted.variant.items():
        how = "estimated" if fitted.options[f"{name}_estimated"] else "given"
        rows.append((name, f"{number}", how, fitted.family.VARIANTS.meaning))
    for name, error in errors.items():
        value = fitted.parameters[name]
        rows.append(
            (
                name,
                f"{value:.6g}",
                f"{error:.4g}" if np.isfinite(error) else "not bounded",
                fitted.family.PARAMETERS[name].meaning,
            )
        )
    for row in fitted.coefficient_rows():
        base = "" if row["base"] is None else f", base {row['base']}"
        error = row["standard_error"]
        rows.append(
            (
                row["label"],
                f"{row['coefficient']:.6g}",
                f"{error:.4g}" if np.isfinite(error) else row["note"].split(":")[0],
                f"coefficient of {row['covariate']}{base}",
            )
        )
    return rows
