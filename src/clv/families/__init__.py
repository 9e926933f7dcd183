"""The models: one file each. `_protocol` says what a file must define."""

from __future__ import annotations

import importlib
import pkgutil
import re
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


@cache
def class_names() -> dict[str, str]:
    """The public class of each family, and the family's name.

    Read from the files' text: to import them all takes longer than a fit.

    Examples
    --------
    >>> class_names()["BetaGeoModel"]
    'bg_nbd'
    """
    found = {}
    for name in names():
        text = (pkgutil.get_data(__name__, f"{name}.py") or b"").decode()
        declared = re.search(r'^CLASS_NAME = "(\w+)"$', text, re.MULTILINE)
        found[declared.group(1) if declared else name] = name
    return found


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
