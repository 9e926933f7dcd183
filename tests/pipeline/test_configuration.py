"""The configuration: every fault is named with its place; secrets stay where they are."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from pipeline.conftest import NEXT, NIGHT, Shop

from clv.cli import program
from clv.errors import ConfigurationError
from clv.pipeline import load_configuration
from clv.pipeline.configuration import Configuration
from clv.pipeline.identity import run_key
from clv.pipeline.starting import _DATABASES, _ENGINE


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "clv.toml"
    file.write_text(text, encoding="utf-8")
    return file


WRONG = {
    'amuont = "x"': (r"line 3: source\.amuont is not known; did you mean 'amount'\?"),
    "[gaet]": r"line 3: gaet is not known; did you mean 'gate'\?",
    '[gate]\nholdout = "8 wekes"': r"line 4: gate\.holdout: .*'wekes' is not known",
    "[gate]\nmin_gain = -1": r"line 4: gate\.min_gain = -1: input should be greater",
    "[gate]\nresamples = true": r"line 4: gate\.resamples = True",
    '[models]\npurchases = ["bg_nb"]': r"line 4: .*'bg_nb'; did you mean 'bg_nbd'\?",
    '[models]\nmethod = "magic"': r"line 4: models\.method: must be one of mle",
    '[models]\nname = "../x"': r"line 4: models\.name",
    '[outputs]\nfiles = ["a/b.csv"]': r"line 4: .*'a/b\.csv' must be a file's name",
    '[[outputs.databases]]\nurl = "${A}"\n[[outputs.databases]]\nurl = "${A}"\ntabel = "x"': (
        r"line 7: outputs\.databases\.1\.tabel is not known; did you mean 'table'\?"
    ),
    '[[outputs.databases]]\ntable = "x"\nurl = "postgresql://a:secret@b/c"': (
        r"line 5: .*a password must not stand in the file"
    ),
    'url = "${A}"': "give path .* or url .*, one",
    'table = "orders"': "belong to url",
    "folder = 1": r"source\.folder is not known",
    "[forecast]\ndiscount_rate = nan": r"forecast\.discount_rate",
    '[engine]\nmemory = "2 sacks"': r"line 4: engine\.memory: memory='2 sacks' is not understood",
    '[engine]\nmemory = "2MB"': r"line 4: engine\.memory: .* is too little",
    '[engine]\nkind = "sparc"': r"line 4: engine\.kind = 'sparc'",
    '[engine]\nmaster = "spark://a"': r'line 3: engine: .* belong to kind = "spark"',
    '[engine]\nkind = "spark"': r"line 3: engine: .* give master .* or remote .*, one of them",
    '[engine]\nkind = "spark"\nmaster = "a"\nmemory = "2GB"': (
        r"line 3: engine: memory belongs to kind = \"local\""
    ),
    '[engine]\nkind = "spark"\nmaster = "spark://a"': r"line 3: engine: .* reads Parquet",
    "[forecast": "is not TOML",
}


@pytest.mark.parametrize(("text", "message"), WRONG.items())
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    file = write(tmp_path, f'[source]\npath = "orders.csv"\n{text}\n')
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_configuration(file)
    assert str(file) in str(caught.value)
    assert "secret" not in str(caught.value)


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    file = write(tmp_path, "[gate]\nmin_gian = 1\n[outputs]\nkeep = 0\n")
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(file)
    assert [w in str(caught.value) for w in ("min_gian", "keep", "[source]")] == [True] * 3


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.toml cannot be read: No such file"):
        load_configuration(tmp_path / "none.toml")


def test_it_is_frozen_and_knows_secrets_by_name_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLV_DATABASE_URL", "postgresql://ann:secret@db/shop")
    text = '[source]\nurl = "${CLV_DATABASE_URL}"\ntable = "orders"\n'
    configuration = load_configuration(write(tmp_path, text))
    with pytest.raises(ValueError, match="frozen"):
        configuration.models.name = "x"  # type: ignore[misc]
    assert "secret" not in json.dumps(configuration.to_dict())
    assert "secret" not in repr(configuration)
    monkeypatch.setenv("CLV_DATABASE_URL", "postgresql://other")
    assert run_key(configuration, "f", "d") == run_key(
        load_configuration(tmp_path / "clv.toml"), "f", "d"
    )


def test_the_key_depends_on_what_decides_the_result(tmp_path: Path) -> None:
    base = Configuration.model_validate({"source": {"path": "a.csv"}})
    other = Configuration.model_validate({"source": {"path": "a.csv"}, "gate": {"min_gain": 0.5}})
    told = Configuration.model_validate(
        {"source": {"path": "a.csv"}, "notice": {"webhook": "${W}"}, "folder": tmp_path}
    )
    key = run_key(base, "fingerprint", "2025-01-31")
    assert key == run_key(told, "fingerprint", "2025-01-31")
    others = {
        run_key(other, "fingerprint", "2025-01-31"),
        run_key(base, "fingerprint", "2025-02-28"),
        run_key(base, "other", "2025-01-31"),
    }
    assert len(others | {key}) == 4


def call(*arguments: Any) -> Any:
    return CliRunner().invoke(program, [str(argument) for argument in arguments])


def test_a_variable_that_is_not_set_is_named(shop: Shop) -> None:
    shop.configure('path = "orders.csv"', 'path = "${CLV_NOT_SET}/orders.csv"')
    done = call("retrain", shop.file, "--as-of", NEXT)
    assert done.exit_code == 2
    assert "CLV_NOT_SET is not set" in done.stderr


# --- clv config ----------------------------------------------------------------------------------


def test_init_writes_a_configuration_that_check_proves(fresh: Shop) -> None:
    fresh.file.unlink()
    orders = fresh.folder / "orders.csv"
    table = pd.read_csv(orders).rename(columns={"customer_id": "Customer ID", "amount": "Total"})
    table.to_csv(orders, index=False)
    done = call("config", "init", orders, "--output", fresh.file, "--name", "shop")
    assert done.exit_code == 0, done.output
    text = fresh.file.read_text()
    given = tomllib.loads(text)
    assert given["source"] == {
        "path": str(orders), "customer_id": "Customer ID", "date": "date", "amount": "Total",
    }  # fmt: skip
    load_configuration(fresh.file)
    before = fresh.tree()
    checked = call("config", "check", fresh.file, "--json")
    assert checked.exit_code == 0, checked.output
    assert json.loads(checked.stdout)["outcome"] == "promoted"
    assert fresh.tree() == before
    again = call("config", "init", orders, "--output", fresh.file)
    assert again.exit_code == 2
    assert "is there already" in again.stderr


def test_init_writes_every_key_with_its_default(fresh: Shop, tmp_path: Path) -> None:
    call("config", "init", fresh.folder / "orders.csv", "--output", tmp_path / "new.toml")
    text = (tmp_path / "new.toml").read_text()
    opened = re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE)
    opened = opened.replace(_DATABASES.strip(), "").replace("# [[", "[[")
    given = tomllib.loads(
        re.sub(r"^(url|table|schema|mlflow|webhook) = .*$", "", opened, flags=re.M)
    )
    whole = Configuration.model_validate({"source": {"path": "x"}}).to_dict()
    for section in ("models", "contract", "gate", "forecast", "outputs", "notice"):
        expected = set(whole[section]) - {"databases", "mlflow", "webhook"}
        assert set(given[section]) - {"databases"} == expected
    assert tomllib.loads(_opened(_ENGINE.partition("# Or")[0])) == {"engine": {"memory": "2GB"}}
    cluster = tomllib.loads(_opened("# [engine]" + _ENGINE.rpartition("# [engine]")[2]))
    Configuration.model_validate({"source": {"path": "x"}, **cluster})
    assert _ENGINE in text
    assert "mlflow" in text
    assert "webhook" in text


def _opened(text: str) -> str:
    return re.sub(r"^# (\w+ = |\[)", r"\1", text, flags=re.MULTILINE)


def test_init_asks_for_columns_that_it_does_not_recognise(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("who,when,total\na,2024-01-01,1\n")
    done = call("config", "init", tmp_path / "x.csv", "--output", tmp_path / "clv.toml")
    assert done.exit_code == 2
    assert "no column looks like customer_id, date; say which it is with --customer-id, --date" in (
        done.stderr
    )
    assert not (tmp_path / "clv.toml").exists()


def test_check_says_which_rule_is_broken(shop: Shop) -> None:
    table = shop.orders()
    shop.write(table.assign(customer_id="C1"), shop.file.read_text())
    done = call("config", "check", shop.file)
    assert done.exit_code == 3
    assert "FAIL customer_share" in done.stdout
    assert "nothing was written" in done.stdout


# --- clv retrain, backfill, models ---------------------------------------------------------------


def test_the_answer_is_one_object_and_the_log_is_lines(shop: Shop) -> None:
    done = call("retrain", shop.file, "--as-of", NEXT)
    assert done.exit_code == 0
    assert json.loads(done.stdout)["outcome"] == "kept"
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert [event["event"] for event in events] == [
        "read", "checked", "candidate", "judged", "scored", "done",
    ]  # fmt: skip


def test_backfill_says_how_every_night_ended(shop: Shop) -> None:
    arguments = ("--from", "2025-02-07", "--to", "2025-02-14", "--every", "week", "--log", "none")
    done = call("backfill", shop.file, *arguments)
    record = json.loads(done.stdout)
    assert (done.exit_code, record["exit_code"]) == (0, 0)
    assert [night["as_of"] for night in record["nights"]] == ["2025-02-07", "2025-02-14"]
    assert call("backfill", shop.file, "--from", "x", "--to", "2025-01-01").exit_code == 2


def test_models_are_listed_shown_compared_promoted_and_rolled_back(shop: Shop) -> None:
    shop.night(NEXT)
    where = ("--config", shop.file)
    listed = json.loads(call("models", "list", *where, "--json").stdout)["versions"]
    assert [(v["version"], v["aliases"]) for v in listed] == [
        ("v000001", ["champion"]), ("v000002", ["challenger"]),
    ]  # fmt: skip
    shown = json.loads(call("models", "show", "champion", *where, "--json").stdout)
    assert shown["manifest"]["as_of"] == NIGHT.isoformat()
    assert "BG/NBD: r" in call("models", "show", "v000002", *where).stdout
    compared = json.loads(call("models", "compare", "v000001", "v000002", *where, "--json").stdout)
    assert {"log score", "customers", "r (purchases)"} <= {f["figure"] for f in compared["figures"]}
    done = call("models", "promote", "challenger", *where, "--reason", "trial")
    assert "v000002 is the champion now; before it was v000001" in done.stdout
    done = call("models", "rollback", *where)
    assert "v000001 is the champion again; v000002 was rolled back" in done.stdout
    assert "rolled back" in call("models", "list", *where).stdout
    assert call("models", "show", "v000009", *where).exit_code == 1
    assert "removed nothing" in call("models", "prune", *where).stdout
    reproduced = call("models", "reproduce", "v000001", *where, "--json")
    assert (reproduced.exit_code, json.loads(reproduced.stdout)["reproduced"]) == (0, True)


def test_a_damaged_version_stands_in_the_list(shop: Shop) -> None:
    path = shop.folder / "models" / "shop" / "v000001" / "params.json"
    path.write_text(path.read_text().replace("model", "modem", 1))
    done = call("models", "list", "--registry", shop.folder / "models")
    assert done.exit_code == 0
    assert "DAMAGED" in done.stdout
    assert "params.json" in done.stdout


def test_a_password_on_the_command_line_is_refused() -> None:
    done = call("quality", "postgresql://ann:secret@db/shop", "--table", "orders")
    assert done.exit_code == 2
    assert "secret" not in done.stderr.replace("holds_secret", "")
