"""Every family against the shared contract."""

from __future__ import annotations

import contract
import pytest

CASES = dict(contract.cases())


@pytest.mark.parametrize("name", CASES)
def test_contract(name: str) -> None:
    CASES[name]()
