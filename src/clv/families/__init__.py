"""The models: one file each. `_protocol` says what a file must define."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import Any


@cache
def names() -> tuple[str, ...]:
    """The names of all families, found by the files in this folder.

    Examples
    --------
    >>> "bg_nbd" in names()
    True
    """
    return tuple(
        module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")
    )


def chosen(family: Any, options: Mapping[str, Any]) -> Any:
    """The variant of a family that these options name; the family itself if it has none."""
    variants = getattr(family, "VARIANTS", None)
    return family if variants is None else family.variant(options[variants.name])


def find(name: str) -> Any:
    """The family (a module) of this name.

    Raises
    ------
    KeyError
        If there is none; the message lists those that there are.
    """
    if name not in names():
        raise KeyError(f"no model is called {name!r}; there are {', '.join(names())}")
    return importlib.import_module(f"{__name__}.{name}")
