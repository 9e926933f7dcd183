"""The registry: every trained version, and which one is in use.

::

    models/<name>/
        aliases.json      champion, challenger, previous, and how they came about
        v000001/          one version; never changed once it is there
            manifest.json     what made it, and the checksum of every file
            params.json       parameters, for people
            metrics.json      how it was judged
            profile.json      what its data looked like: counts, no customers
            purchases/ spend/ the models, as `clv.load` reads them
        runs/             what each finished run has answered
        .lock             held by whoever writes

A version appears by one rename, `aliases.json` is replaced by one rename, and nothing else says
which version is in use: whenever a run dies, the registry is as it was or as it should be.
"""

from clv.registry.aliases import Aliases, Change
from clv.registry.registry import Registry
from clv.registry.version import Version

__all__ = ["Aliases", "Change", "Registry", "Version"]
