"""What holds a family, a module, can be pickled: the module's name goes in its place.

For `multiprocessing`, joblib and the like. What is to last is saved with ``fitted.save``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple


class _Named(NamedTuple):
    """A module that is not there."""

    module: str


class HoldsFamilies:
    """Base of classes with families among their attributes, also in tuples."""

    def __getstate__(self) -> dict[str, Any]:
        return {name: _replaced(value, _name) for name, value in self.__dict__.items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update((name, _replaced(value, _module)) for name, value in state.items())


def _replaced(value: Any, replace: Callable[[Any], Any]) -> Any:
    return tuple(map(replace, value)) if type(value) is tuple else replace(value)


def _name(value: Any) -> Any:
    return _Named(value.__name__) if isinstance(value, ModuleType) else value


def _module(value: Any) -> Any:
    return importlib.import_module(value.module) if isinstance(value, _Named) else value
