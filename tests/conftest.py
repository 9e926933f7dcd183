"""What holds for every test."""

from __future__ import annotations

import os

import hypothesis

os.environ["MPLBACKEND"] = "Agg"  # no test opens a window

# Random examples are looked for at a desk; CI asks the same questions every time.
hypothesis.settings.register_profile("desk", deadline=None, print_blob=True)
hypothesis.settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "desk")
