"""``clv models``: the registry, seen and changed by a person."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clv.cli.console import emit, facts, table, tell
from clv.cli.options import as_json

if TYPE_CHECKING:
    from clv.registry import Registry, Version

_DEFAULT = "clv.toml"


@click.group(no_args_is_help=True)
def models() -> None:
    """Trained versions: which there are, which is in use, and how to change that."""


def _registry_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Where the registry is; the command gets it as `registry`."""

    @wraps(command)
    def with_registry(
        config: str | None, folder: str | None, name: str | None, **given: Any
    ) -> Any:
        return command(registry=_registry(config, folder, name), **given)

    for option in (
        click.option("--name", help="Which model, where the folder has several."),
        click.option("--registry", "folder", metavar="FOLDER", help="Of all models."),
        click.option(
            "--config",
            metavar="FILE",
            help=f"Configuration that says where.  [default: {_DEFAULT}, if it is there]",
        ),
    ):
        with_registry = option(with_registry)
    return with_registry


def _registry(config: str | None, folder: str | None, name: str | None) -> Registry:
    from clv.registry import Registry

    if config is None and folder is None and Path(_DEFAULT).is_file():
        config = _DEFAULT
    if config is not None:
        from clv.pipeline import load_configuration

        section = (configuration := load_configuration(config)).models
        return Registry(configuration.path(folder or section.registry), name or section.name)
    root = Path(folder or "models")
    if name is not None:
        return Registry(root, name)
    found = sorted(path.parent.name for path in root.glob("*/aliases.json"))
    if len(found) != 1:
        there = f"there are {', '.join(found)}" if found else "there is none"
        raise click.UsageError(f"say which model of {root} with --name, or give --config; {there}")
    return Registry(root, found[0])


_version = click.argument("version")


@models.command("list")
@_registry_options
@as_json
def list_versions(registry: Registry, as_json: bool) -> None:
    """All versions, oldest first, every file checked against its checksum."""
    aliases = registry.aliases()
    names = {
        name: [a for a in ("champion", "challenger", "previous") if getattr(aliases, a) == name]
        for name in registry.names()
    }
    rows = [_row(registry, name, names[name], name in aliases.withdrawn) for name in names]
    if as_json:
        emit({"command": "models list", "registry": str(registry.folder), "versions": rows})
        return
    if not rows:
        tell(f"{registry.folder} has no version yet")
        return
    shown = ("version", "as_of", "purchases", "verdict", "log_score", "state")
    table(
        f"Versions in {registry.folder}",
        ["version", "as of", "model", "verdict", "log score", ""],
        [["" if row[name] is None else str(row[name]) for name in shown] for row in rows],
    )


def _row(registry: Registry, name: str, called: list[str], withdrawn: bool) -> dict[str, Any]:
    from clv.errors import RegistryError
    from clv.registry import Version

    state = ", ".join([*called, *(["rolled back"] if withdrawn else [])])
    row = dict.fromkeys(("as_of", "purchases", "verdict", "log_score", "reason"))
    try:
        version = Version.read(registry.folder / name).verify()
        decision = version.metrics["decision"]
    except RegistryError as error:
        said = str(error).replace(f"{registry.folder / name}/", "").partition(":")[0]
        return {"version": name, **row, "state": f"DAMAGED: {said}", "aliases": called}
    return {
        "version": name,
        "as_of": version.manifest["as_of"],
        "purchases": version.specification["purchases"],
        "verdict": decision["verdict"],
        "log_score": round(decision["challenger"]["log_score"], 5),
        "reason": decision["reason"],
        "state": state,
        "aliases": called,
    }


@models.command(no_args_is_help=True)
@_version
@_registry_options
@as_json
def show(registry: Registry, version: str, as_json: bool) -> None:
    """What made VERSION, and how it was judged.

    VERSION is a name such as v000012, or champion, challenger, previous.
    """
    found = registry.version(version).verify()
    if as_json:
        emit({"command": "models show", **_everything(found)})
        return
    _describe(found)


def _everything(version: Version) -> dict[str, Any]:
    from clv.registry.records import read_record

    return {
        "version": version.name,
        "manifest": version.manifest,
        "parameters": read_record(version.folder / "params.json"),
        "metrics": version.metrics,
    }


def _describe(version: Version) -> None:
    manifest, decision = version.manifest, version.metrics["decision"]
    data = manifest["data"]
    tell(f"{manifest['name']} {version.name}")
    facts(
        [
            ("as of", manifest["as_of"]),
            ("made", manifest["created"]),
            (
                "models",
                f"{version.specification['purchases']} and {version.specification['spend']}",
            ),
            ("data", f"{data['rows']:,} rows of {data['customers']:,} customers"),
            ("period", f"{data['first_day']} to {data['last_day']}"),
            ("fingerprint", data["fingerprint"]),
            ("code", manifest["code"]),
            ("seed", manifest["seed"]),
            ("verdict", decision["verdict"]),
            ("reason", decision["reason"]),
        ]
    )
    for fitted in (version.purchases, version.spend):
        values = "  ".join(f"{name} {value:.5g}" for name, value in fitted.parameters.items())
        tell(f"{fitted.family.TITLE}: {values}")
    for rule in decision["rules"]:
        if not rule["passed"]:
            tell(f"broken: {rule['rule']}: {rule['text']}")


@models.command(no_args_is_help=True)
@click.argument("first", metavar="VERSION")
@click.argument("second", metavar="OTHER")
@_registry_options
@as_json
def compare(registry: Registry, first: str, second: str, as_json: bool) -> None:
    """VERSION beside OTHER: data, parameters, and how each foresaw its own holdout."""
    pair = [registry.version(name).verify() for name in (first, second)]
    rows = [
        {"figure": name, **{v.name: figures.get(name) for v, figures in found}}
        for found in [[(v, _figures(v)) for v in pair]]
        for name in dict.fromkeys(name for _, figures in found for name in figures)
    ]
    if as_json:
        emit({"command": "models compare", "versions": [v.name for v in pair], "figures": rows})
        return

    def cell(value: Any) -> str:
        return f"{value:.6g}" if isinstance(value, float) else "" if value is None else str(value)

    names = [version.name for version in pair]
    table("", ["", *names], [[row["figure"], *(cell(row[name]) for name in names)] for row in rows])


def _figures(version: Version) -> dict[str, Any]:
    data, judged = version.manifest["data"], version.metrics["decision"]["challenger"]
    return {
        "as of": version.manifest["as_of"],
        "rows": data["rows"],
        "customers": data["customers"],
        "purchases by": version.specification["purchases"],
        **{f"{k} (purchases)": float(v) for k, v in version.purchases.parameters.items()},
        "spend by": version.specification["spend"],
        **{f"{k} (spend)": float(v) for k, v in version.spend.parameters.items()},
        "holdout": f"{data['holdout']['from']} to {data['holdout']['to']}",
        **{k.replace("_", " "): v for k, v in judged.items() if k != "model"},
        "verdict": version.metrics["decision"]["verdict"],
    }


_reason = click.option("--reason", default="by hand", show_default=True, help="For the history.")
_wait = click.option("--wait", type=click.FloatRange(0), default=0.0, metavar="SECONDS")


@models.command(no_args_is_help=True)
@_version
@_registry_options
@_reason
@_wait
def promote(registry: Registry, version: str, reason: str, wait: float) -> None:
    """Put VERSION into use."""
    with registry.lock(wait):
        before = registry.aliases().champion
        chosen = registry.version(version)
        registry.promote(chosen, by="user", reason=reason)
    tell(f"{chosen.name} is the champion now; before it was {before or 'nobody'}")


@models.command()
@_registry_options
@_reason
@_wait
def rollback(registry: Registry, reason: str, wait: float) -> None:
    """Put the version before the champion back into use.

    The one that goes is not promoted again by the same data.
    """
    with registry.lock(wait):
        out = registry.aliases().champion
        back = registry.rollback(reason=reason)
    tell(f"{back.name} is the champion again; {out} was rolled back")


@models.command()
@_registry_options
@click.option("--keep", type=click.IntRange(1), default=30, show_default=True, help="How many.")
@_wait
def prune(registry: Registry, keep: int, wait: float) -> None:
    """Remove the oldest versions; champion, challenger and previous always stay."""
    with registry.lock(wait):
        gone = registry.prune(keep)
    tell(f"removed {', '.join(gone) or 'nothing'}; {len(registry.names())} versions are left")


@models.command(no_args_is_help=True)
@_version
@click.option(
    "--config", default=_DEFAULT, show_default=True, help="Configuration that names the source."
)
@as_json
def reproduce(version: str, config: str, as_json: bool) -> None:
    """Fit VERSION again from the source, and compare. Exit code 1 if it comes out otherwise."""
    from clv.pipeline import load_configuration
    from clv.pipeline.reproduce import reproduce as again

    configuration = load_configuration(config)
    record = again(_registry(config, None, None).version(version), configuration)
    if as_json:
        emit(record)
    else:
        state = "reproduced" if record["reproduced"] else "NOT reproduced"
        tell(f"{record['version']}: {state}")
        others = [
            f"{name} {pair['then']} then, {pair['now']} now"
            for name, pair in record["other_libraries"].items()
        ]
        facts(
            [
                ("largest relative difference", f"{record['largest_difference']:.3g}"),
                ("same data", record["same_data"]),
                ("same code", record["same_code"]),
                ("libraries", "; ".join(others) or "the same"),
            ]
        )
    if not record["reproduced"]:
        raise click.exceptions.Exit(1)
