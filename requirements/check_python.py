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

if sys.version_info < (3, 11):
    print(
        "clv needs Python 3.11 or newer and {0} is {1}.{2}; "
        "try: make {3} PYTHON=/path/to/python3.11".format(PYTHON, *sys.version_info[:2] + (GOAL,))
    )
elif venv is None:
    print(
        "{0} has no venv module; install it (Debian, Ubuntu: apt install python3-venv), "
        "then: make {1}".format(PYTHON, GOAL)
    )
