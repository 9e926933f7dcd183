"""Results around a table: how they show themselves."""

from __future__ import annotations

from html import escape

from clv.tables._frame import Table


class Shown:
    """Shows its table and, below it, its remarks; for dataclasses with ``repr=False``."""

    table: Table

    def _remarks(self) -> tuple[str, ...]:
        """What stands below the table."""
        return tuple(getattr(self, "notes", ()))

    def __repr__(self) -> str:
        return "\n".join([repr(self.table), *(f"note: {note}" for note in self._remarks())])

    def _repr_html_(self) -> str:
        notes = "".join(f"<p><small>{escape(note)}</small></p>" for note in self._remarks())
        return self.table._repr_html_() + notes
