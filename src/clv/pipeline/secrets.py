"""Secrets come from the environment when they are used, and are nowhere else.

A configuration holds ``${CLV_DATABASE_URL}`` as it is written, so whatever is stored, hashed or
logged of it holds no secret.
"""

from __future__ import annotations

import os
import re

from clv.errors import ConfigurationError

_VARIABLE = re.compile(r"\$\{(\w+)\}")


def expand(text: str) -> str:
    """Put the values of environment variables into a text.

    Raises
    ------
    ConfigurationError
        If a variable is not set.
    """

    def value(found: re.Match[str]) -> str:
        name = found.group(1)
        if name not in os.environ:
            raise ConfigurationError(f"the environment variable {name} is not set")
        return os.environ[name]

    return _VARIABLE.sub(value, text)


def holds_secret(url: str) -> bool:
    """Whether a URL has a password written into it.

    Examples
    --------
    >>> holds_secret("postgresql://ann:x@db/shop"), holds_secret("${CLV_DATABASE_URL}")
    (True, False)
    """
    found = re.search(r"://[^:/@]*:([^@]*)@", url)
    return found is not None and not _VARIABLE.fullmatch(found.group(1))


def redacted(text: str) -> str:
    """A text without passwords of URLs, whatever they came from.

    Examples
    --------
    >>> redacted("cannot reach postgresql://ann:secret@db/shop")
    'cannot reach postgresql://ann:***@db/shop'
    """
    return re.sub(r"(://[^:/@\s]*):[^@\s]*@", r"\1:***@", text)
