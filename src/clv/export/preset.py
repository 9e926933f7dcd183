"""Presets: what a platform wants of a file, as data. One TOML file each, in ``presets/``.

A preset names the columns of the file in order, the field of the audience each is made from, and
what is done to it on the way (`clv.export.transforms`). A file of your own can be given instead
of a name.
"""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from clv.errors import DataError
from clv.export.transforms import TRANSFORMS

FOLDER = Path(__file__).parent / "presets"

Format = Literal["csv", "parquet", "xlsx", "jsonl", "database"]


class Column(BaseModel):
    """One column of a file.

    Attributes
    ----------
    name
        Its heading.
    field
        The field of the audience it is made from.
    apply
        Names of transforms, in order.
    optional
        Left out when the audience has no such field; otherwise it is empty then.
    missing
        What stands for a missing value.
    exempt
        Whether the text is one that no formula can be in, whatever it begins with: numbers of
        telephones begin with +.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    field: str
    apply: tuple[str, ...] = ()
    optional: bool = False
    missing: str | None = None
    exempt: bool = False

    @model_validator(mode="after")
    def _known_transforms(self) -> Column:
        for name in self.apply:
            if name not in TRANSFORMS:
                near = get_close_matches(name, TRANSFORMS, n=1)
                hint = f"did you mean {near[0]!r}? There" if near else "there"
                raise ValueError(
                    f"column {self.name!r}: there is no transform {name!r}; {hint} are "
                    f"{', '.join(TRANSFORMS)}"
                )
        return self


class Preset(BaseModel):
    """What a platform wants.

    Attributes
    ----------
    name, title
        For the command line, and for people.
    documentation
        Where the platform says what it wants.
    format
        Of the file.
    layout
        How a row is written where it is more than a line of columns: see `clv.export.layouts`.
    consent
        "required": only customers who have said yes. "ignored": a file that stays in the house.
    identified_by
        Groups of columns; a customer needs all columns of one of them. Empty: nothing is needed.
    unique
        A column in which no value may occur twice; the most valuable customer stays.
    one_file_per
        A field with few values, such as "tier": a file for each of them.
    max_rows, max_bytes
        Of one file; longer ones are split.
    max_lengths
        Most characters a column may have; customers beyond it are left out.
    columns
        In the order of the file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    documentation: tuple[str, ...] = ()
    format: Format
    layout: Literal["table", "google user data", "meta payload"] = "table"
    consent: Literal["required", "ignored"] = "ignored"
    identified_by: tuple[tuple[str, ...], ...] = ()
    unique: str | None = None
    one_file_per: str | None = None
    max_rows: Annotated[int, Field(gt=0)] | None = None
    max_bytes: Annotated[int, Field(gt=0)] | None = None
    max_lengths: dict[str, int] = {}
    columns: tuple[Column, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _known_columns(self) -> Preset:
        names = [column.name for column in self.columns]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"column {twice[0]!r} is there twice")
        mentioned = [name for group in self.identified_by for name in group]
        for name in [*mentioned, *self.max_lengths, *filter(None, [self.unique])]:
            if name not in names:
                raise ValueError(f"there is no column {name!r}; columns are {', '.join(names)}")
        if self.max_bytes and self.format != "csv":
            raise ValueError("max_bytes is for csv")
        return self


def presets() -> list[str]:
    """Names of the presets that come with the package.

    Examples
    --------
    >>> "google-customer-match" in presets()
    True
    """
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read_preset(name: str | Path | Preset) -> Preset:
    """A preset by its name, or from a TOML file of your own (a path that ends in .toml).

    Raises
    ------
    DataError
        If there is none, or the file is not a preset.

    Examples
    --------
    >>> read_preset("google-customer-match").columns[0].name
    'Email'
    """
    if isinstance(name, Preset):
        return name
    own = str(name).endswith(".toml")
    path = Path(name) if own else FOLDER / f"{name}.toml"
    if not own and str(name) not in presets():
        near = get_close_matches(str(name), presets(), n=1)
        hint = f"did you mean {near[0]!r}? There" if near else "there"
        raise DataError(f"there is no preset {str(name)!r}; {hint} are {', '.join(presets())}")
    return _read(path)


def _read(path: Path) -> Preset:
    try:
        record: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{path} cannot be read as a preset: {error}") from error
    shared = record.pop("columns_of", None)
    if shared is not None:
        record["columns"] = read_preset(shared).columns
    try:
        return Preset(name=path.stem, **record)
    except (ValidationError, TypeError) as error:
        raise DataError(f"{path.name} is no preset: {_first(error)}") from error


def _first(error: ValidationError | TypeError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    found = error.errors()[0]
    place = ".".join(str(part) for part in found["loc"])
    return f"{place}: {found['msg']}" if place else found["msg"]
