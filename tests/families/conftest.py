"""Failed assertions of the shared contract explain themselves."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("contract")
