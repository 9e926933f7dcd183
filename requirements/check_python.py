"""Say in one line why this Python will not do; say nothing when it will.

Read by the Makefile before anything is installed, so it must run on any Python, 2.7 included.
"""

import sys

GOAL, PYTHON = sys.argv[1:3]

try:
    import ensurepip  # noqa: F401
    import venv
except ImportError:
    venv = None

if sys.version_info < (3, 11):  # noqa: UP036
    print(
        "clv needs Python 3.11 or newer and %s is %d.%d; try: make %s PYTHON=/path/to/python3.11"
        % ((PYTHON,) + sys.version_info[:2] + (GOAL,))  # noqa: RUF005
    )
elif venv is None:
    print(
        "%s has no venv module; install it (Debian, Ubuntu: apt install python3-venv), "
        "then: make %s" % (PYTHON, GOAL)
    )
