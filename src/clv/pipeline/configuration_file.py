"""Reading the configuration from TOML; what is wrong is named with its place in the file."""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from clv.errors import ConfigurationError
from clv.pipeline.configuration import Configuration

_HEADING = re.compile(r"^\s*\[\[?\s*([A-Za-z0-9_.\s\"'-]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"^\s*([A-Za-z0-9_-]+)\s*(?:\.[^=]*)?=")


def load_configuration(path: str | Path) -> Configuration:
    r"""Read a configuration.

    Raises
    ------
    ConfigurationError
        If the file cannot be read or something in it is wrong; every fault is named with its
        line, unknown keys with the nearest right one.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "clv.toml"
    >>> _ = file.write_text('[source]\npath = "orders.csv"\namuont = "total"\n')
    >>> load_configuration(file)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    clv.errors.ConfigurationError: ...clv.toml, line 3: source.amuont is not known; did you mean
    'amount'?
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigurationError(f"{file} cannot be read: {reason}") from error
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{file} is not TOML: {error}") from error
    return parse_configuration(given, folder=file.parent, file=str(file), text=text)


def parse_configuration(
    given: dict[str, Any], *, folder: Path, file: str = "the configuration", text: str = ""
) -> Configuration:
    """Check a configuration that is a dictionary already; `text` is where it was written."""
    if "folder" in given:
        raise ConfigurationError(f"{file}{_line(text, ('folder',))}: folder is not known")
    try:
        return Configuration.model_validate({**given, "folder": folder})
    except ValidationError as error:
        faults = [f"{file}{_line(text, fault['loc'])}: {_said(fault)}" for fault in error.errors()]
        raise ConfigurationError("; ".join(faults)) from error


def _said(fault: Any) -> str:
    """One fault, in the words of the file."""
    place = tuple(part for part in fault["loc"])
    name = ".".join(str(part) for part in place)
    kind = fault["type"]
    if kind == "extra_forbidden":
        known = _keys_at(place[:-1])
        near = difflib.get_close_matches(str(place[-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
        return f"{name} is not known; {hint}"
    if kind == "missing":
        if name == "source":
            return "there is no section [source], which says where transactions come from"
        return f"{name} is missing"
    if kind == "value_error":
        return f"{name}: {str(fault['msg']).removeprefix('Value error, ')}"
    message = str(fault["msg"])[:1].lower() + str(fault["msg"])[1:]
    return f"{name} = {fault['input']!r}: {message}"


def _keys_at(place: tuple[Any, ...]) -> list[str]:
    """The keys that a section may have."""
    model: Any = Configuration
    for part in place:
        if isinstance(part, int):
            continue
        annotation = next(
            field.annotation
            for name, field in model.model_fields.items()
            if part in (name, field.alias)
        )
        model = _model_in(annotation)
    return [field.alias or name for name, field in model.model_fields.items() if name != "folder"]


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(inner) for inner in get_args(annotation))
    return next((model for model in found if model is not None), None)


def _line(text: str, place: tuple[Any, ...]) -> str:
    """Where in the text a key is, as ``, line 12``; nothing if it is not written there."""
    names = [str(part) for part in place if not isinstance(part, int)]
    wanted = next((part for part in place if isinstance(part, int)), 0)
    lines = text.splitlines()
    section: list[str] = []
    headings: dict[tuple[str, ...], int] = {}
    best: tuple[int, int] | None = None
    for number, line in enumerate(lines, start=1):
        if heading := _HEADING.match(line):
            section = [part.strip().strip("\"'") for part in heading.group(1).split(".")]
            headings[tuple(section)] = headings.get(tuple(section), -1) + 1
            found = section
        elif key := _KEY.match(line):
            found = [*section, key.group(1)]
        else:
            continue
        array = line.lstrip().startswith("[[") or headings.get(tuple(section), 0) > 0
        if array and headings.get(tuple(section), 0) != wanted:
            continue
        depth = len(found)
        if found == names[:depth] and (best is None or depth > best[0]):
            best = (depth, number)
    return "" if best is None else f", line {best[1]}"
