"""What can go wrong, as a tree.

::

    ClvError
    |-- DataError (ValueError)             the input cannot be used as it is
    |   |-- MissingColumnError             a named column is not there
    |   |-- NoUsableRowsError              nothing is left to work with
    |   |-- UnreadableFileError            not the file its name promises
    |   |-- UnsupportedFrameError (TypeError)   a table of an unknown engine
    |   `-- DatabaseError                a database cannot be reached or read
    |-- UnitMismatchError (ValueError)     two time units or periods that do not fit together
    |-- FitError (RuntimeError)
    |   `-- ConvergenceError               no maximum was found, and no boundary explains it
    |-- InfiniteValueError (ValueError)    the quantity asked for is infinite
    |-- SavedModelError (ValueError)       a saved model is damaged or of an unknown format
    |   `-- RegistryError                a registry of models is damaged, or has no such version
    |-- ConfigurationError (ValueError)    the configuration of the scheduled job
    |-- LockedError (RuntimeError)         another run is at work here
    |-- EngineError (RuntimeError)         a cluster that is to do the work cannot be used
    `-- StorageError (RuntimeError)        something could not be written

    ClvWarning (UserWarning)
    |-- BoundaryWarning                    the fit ran to a boundary, which the text names
    |-- ConvergenceWarning                 draws of a posterior that are not to be trusted
    `-- DataWarning                        the data can be used but the result needs care

A message names the column, the number of rows, the first one and the remedy.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any


class ClvError(Exception):
    """Base of every error that this package raises on purpose."""


class DataError(ClvError, ValueError):
    """The input cannot be used as it is."""


class MissingColumnError(DataError):
    """A named column is not there."""


class NoUsableRowsError(DataError):
    """Nothing is left to work with.

    Where rows were read and none could be used, `quality` is the account of them and `rejected`
    holds every row with its reason, as in `clv.Transactions`; both are None otherwise.
    """

    def __init__(
        self,
        message: str,
        *,
        quality: Any = None,
        make_rejected: Callable[[], Any] = lambda: None,
    ) -> None:
        super().__init__(message)
        self.quality = quality
        self._make_rejected = make_rejected

    @cached_property
    def rejected(self) -> Any:
        """The rows that could not be used, made when first asked for."""
        return self._make_rejected()


class UnreadableFileError(DataError):
    """The file is missing, empty, or not what its name promises."""


class UnsupportedFrameError(DataError, TypeError):
    """A table of an engine that is not known."""


class DatabaseError(DataError):
    """A database cannot be reached or read."""


class UnitMismatchError(ClvError, ValueError):
    """Two time units or periods do not fit together."""


class FitError(ClvError, RuntimeError):
    """A model cannot be fitted to this table."""


class ConvergenceError(FitError):
    """No maximum was found, and no boundary explains it."""


class InfiniteValueError(ClvError, ValueError):
    """The quantity asked for is infinite."""


class SavedModelError(ClvError, ValueError):
    """A saved model is damaged, or written in a format this version does not know."""


class RegistryError(SavedModelError):
    """A registry of models is damaged, or has no such version."""


class ConfigurationError(ClvError, ValueError):
    """The configuration of the scheduled job cannot be used; the place is named."""


class LockedError(ClvError, RuntimeError):
    """Another run is at work here."""


class EngineError(ClvError, RuntimeError):
    """A cluster that is to do the work cannot be reached, or cannot be used."""


class StorageError(ClvError, RuntimeError):
    """Something could not be written: what is there is what was there before."""


class ClvWarning(UserWarning):
    """Base of every warning that this package gives on purpose."""


class BoundaryWarning(ClvWarning):
    """The fit ran to a boundary of the parameter space."""


class ConvergenceWarning(ClvWarning):
    """The draws of a posterior do not pass their diagnostics."""


class DataWarning(ClvWarning):
    """The data can be used, but the result needs care."""
