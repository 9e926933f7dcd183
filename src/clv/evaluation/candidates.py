"""Which models are tried: by name, as configured objects, by one method of fitting or several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from inspect import signature
from typing import Any, NamedTuple

from clv import families
from clv.errors import DataError
from clv.model import Model, model_class
from clv.purchase_model import PurchaseModel
from clv.spend_model import SpendModel


class Candidate(NamedTuple):
    """A model that is fitted at every cut.

    Attributes
    ----------
    name
        For programs, such as "bg_nbd"; no other candidate has it.
    label
        For people, such as "BG/NBD".
    model
        Not fitted yet.
    method
        Of fitting; None is the model's own default.
    """

    name: str
    label: str
    model: Any
    method: str | None = None

    @property
    def options(self) -> dict[str, Any]:
        """What ``model.fit`` is told besides the table."""
        return {} if self.method is None else {"method": self.method}


def default_purchase_models() -> list[str]:
    """Names of all purchase models but those that count opportunities."""
    found = map(families.find, families.names())
    return [f.NAME for f in found if f.KIND == "purchase" and not getattr(f, "WHOLE_TIMES", False)]


def purchase_candidates(models: Any, methods: str | Sequence[str] | None = None) -> list[Candidate]:
    """Purchase models from what a user gives: names, models, a mixture, or a mapping of them.

    Parameters
    ----------
    models
        None (all), one or several; a mapping gives them names of one's own.
    methods
        Of fitting: one, several (each model is then a candidate by each), or None.

    Raises
    ------
    DataError
        If something is no purchase model, or there is nothing.
    """
    return _candidates(
        default_purchase_models() if models is None else models, methods, PurchaseModel, "purchase"
    )


def spend_candidates(models: Any, methods: str | Sequence[str] | None = None) -> list[Candidate]:
    """Spend models likewise; None is Gamma-Gamma."""
    return _candidates("gamma_gamma" if models is None else models, methods, SpendModel, "spend")


def _candidates(given: Any, methods: Any, kind: type[Model], word: str) -> list[Candidate]:
    several = [methods] if methods is None or isinstance(methods, str) else list(methods)
    named = given if isinstance(given, Mapping) else None
    entries: Iterable[Any] = (
        [given]
        if isinstance(given, str | Model)
        else given.values()
        if isinstance(given, Mapping)
        else given
    )
    models = [_model(entry, kind, word) for entry in entries]
    if not models or not several:
        raise DataError(f"there is no {word} model to try; leave it out for the default")
    if named is not None:
        names = labels = [str(name) for name in named]
    else:
        names = _distinct([str(model.family.NAME) for model in models], models)
        labels = _distinct([_title(model) for model in models], models)
    return [
        Candidate(
            name if len(several) == 1 else f"{name} {method}",
            label if len(several) == 1 else f"{label} ({method})",
            model,
            method,
        )
        for name, label, model in zip(names, labels, models, strict=True)
        for method in several
    ]


def _distinct(names: list[str], models: list[Any]) -> list[str]:
    """The short names; where one is taken, with what the model was told beyond its defaults."""
    found = [
        name if names.count(name) == 1 else f"{name}{_told(model)}"
        for name, model in zip(names, models, strict=True)
    ]
    twice = sorted({name for name in found if found.count(name) > 1})
    if twice:
        raise DataError(
            f"{', '.join(twice)} is there more than once; leave one out, or give a mapping with "
            "names of your own"
        )
    return found


def _title(model: Any) -> str:
    return model.title if isinstance(model, SpendModel) else str(model.family.TITLE)


def _told(model: Model) -> str:
    usual = signature(type(model)).parameters
    told = {
        name: value
        for name, value in model.arguments().items()
        if value and not (name in usual and usual[name].default == value)
    }
    return f" ({', '.join(f'{name}={value!r}' for name, value in told.items())})" if told else ""


def _model(given: Any, kind: type[Model], word: str) -> Any:
    if isinstance(given, str):
        try:
            given = model_class(given)()
        except KeyError as error:
            raise DataError(str(error.args[0])) from error
    if not isinstance(given, kind):
        example = (
            "'bg_nbd' or clv.BetaGeoModel()"
            if word == "purchase"
            else "'gamma_gamma' or clv.GammaGammaModel(purchases='all')"
        )
        raise DataError(
            f"{given!r} is no {word} model; give names or models that are not fitted yet, such as "
            f"{example}"
        )
    return given
