"""What holds for every export: nothing is lost, nothing is half written, nothing runs."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shop_of_ten import CUSTOMERS, IDS, ten

from clv.errors import DataError, MissingColumnError
from clv.export import delivery, export, presets, read_preset

FILES = [name for name in presets() if name != "database"]
FORMULA = tuple("=+-@\t\r\n＝＋－＠")

#: Ids that break careless writers, in the order of their code points.
NASTY = sorted(
    [
        *("=1+1", "+49", "-5", "@x", "\tt", "\rr", "\nn", "'q"),
        *('C,"quoted"\nline', "شناسه‌\u200f۱۲", "<script>alert(1)</script>"),
    ]
)[:10]


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def nasty(**options: Any) -> Any:
    table = CUSTOMERS.iloc[[0] * 10].assign(customer_id=NASTY, first_name=NASTY, last_name=NASTY)
    return ten(table, NASTY, **options)


# --- text stays text -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_ids_survive_every_format_and_no_cell_is_a_formula(name: str, tmp_path: Path) -> None:
    preset = read_preset(name).model_copy(update={"unique": None})
    done = export(nasty(), preset, tmp_path)
    assert done.rows == 10
    file = done.files[0]
    of_id = {column.field: column.name for column in preset.columns}.get("customer_id")
    if file.suffix == ".csv":
        rows = read(file)
        safe = [c for column in preset.columns if column.exempt for c in [column.name]]
        for row in rows:
            for heading, cell in row.items():
                number = cell.replace(".", "", 1).lstrip("-").isdigit() and cell[:1] == "-"
                assert not cell.startswith(FORMULA) or number or heading in safe, (heading, cell)
        if of_id is not None:
            assert [unmarked(row[of_id]) for row in rows] == NASTY
            assert done.manifest["files"][0]["cells_marked"] >= 8
    elif file.suffix == ".xlsx":
        sheet = openpyxl.load_workbook(file).active
        assert sheet is not None
        cells = [row[0] for row in sheet.iter_rows(min_row=2)]
        assert {cell.data_type for cell in cells} == {"s"}
        assert [str(c.value).replace("_x000D_", "\r") for c in cells] == NASTY
    elif file.suffix == ".parquet":
        assert pq.read_table(file)["customer_id"].to_pylist() == NASTY
    elif file.suffix == ".jsonl" and of_id is not None:
        lines = file.read_text("utf-8").splitlines()
        assert [json.loads(line)[of_id] for line in lines] == NASTY


def unmarked(cell: str) -> str:
    return cell[1:] if cell.startswith("'") else cell


def test_formulas_can_be_kept_for_programs(tmp_path: Path) -> None:
    done = export(nasty(), "salesforce", tmp_path, formulas="keep")
    assert [row["CLV_Customer_Id__c"] for row in read(done.files[0])] == NASTY


def test_who_is_left_out_is_listed_without_formulas_too(tmp_path: Path) -> None:
    table = CUSTOMERS.iloc[[0] * 10].assign(customer_id=NASTY, consent="no")
    export(ten(table, NASTY), "google-customer-match", tmp_path)
    rows = read(tmp_path / "google-customer-match" / "left_out.csv")
    assert not any(row["customer_id"].startswith(FORMULA) for row in rows)
    assert [unmarked(row["customer_id"]) for row in rows] == NASTY


# --- nobody is lost ------------------------------------------------------------------------------


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    consents=st.lists(st.sampled_from(["yes", "no", "", None, "?"]), min_size=10, max_size=10),
    mails=st.lists(st.sampled_from(["a@b.example", "c@d.example", "no", None]), min_size=10,
                   max_size=10),
    name=st.sampled_from(["google-customer-match", "meta-api", "hubspot", "klaviyo", "salesforce"]),
    rule=st.sampled_from([None, "required", "not-refused", "ignored"]),
)  # fmt: skip
def test_every_customer_is_exported_or_left_out_for_one_reason(
    consents: list[Any], mails: list[Any], name: str, rule: Any, tmp_path: Path
) -> None:
    table = pd.DataFrame({"customer_id": IDS, "consent": consents, "email": mails})
    done = export(ten(table), name, tmp_path, consent=rule)
    left = done.manifest["left_out"]
    assert done.rows + left["customers"] == 10 == done.manifest["customers"]
    assert sum(left["reasons"].values()) == left["customers"]
    assert sum(file["rows"] for file in done.manifest["files"]) == done.rows
    required = rule or read_preset(name).consent
    allowed = {"required": ["yes"], "not-refused": ["yes", "", None, "?"]}.get(required)
    if allowed is not None:
        assert done.rows <= sum(consent in allowed for consent in consents)
    if name == "meta-api":
        able = {m for m, c in zip(mails, consents, strict=True) if m and "@" in m
                and (allowed is None or c in allowed)}  # fmt: skip
        assert done.rows == len(able), "an address counts once"


def test_an_ad_platform_gets_nobody_where_nobody_was_asked(tmp_path: Path) -> None:
    silent = CUSTOMERS.drop(columns="consent")
    with pytest.raises(DataError, match="no column says who may be exported"):
        export(ten(silent), "meta-custom-audience", tmp_path)
    assert export(ten(silent), "klaviyo", tmp_path).rows == 8
    named = silent.assign(**{"May we?": "yes"})
    known = ten(named, columns={"consent": "May we?"})
    assert export(known, "meta-custom-audience", tmp_path).rows == 8


@pytest.mark.parametrize("engine", ["pandas", "polars", "pyarrow", "bools", "categories"])
def test_customers_tables_of_every_engine_give_the_same_files(engine: str, tmp_path: Path) -> None:
    frame: Any = CUSTOMERS
    if engine == "polars":
        frame = pl.from_pandas(CUSTOMERS)
    elif engine == "pyarrow":
        frame = pl.from_pandas(CUSTOMERS).to_arrow()
    elif engine == "bools":
        said = [True] * 5 + [None, False, None, True]
        frame = CUSTOMERS.assign(consent=pd.array(said, dtype="boolean"))
    elif engine == "categories":
        frame = CUSTOMERS.astype({"consent": "category", "country": "category"})
    wanted = export(ten(), "meta-custom-audience", tmp_path / "a").files[0].read_bytes()
    found = export(ten(frame), "meta-custom-audience", tmp_path / "b").files[0].read_bytes()
    assert found == wanted


# --- the manifest --------------------------------------------------------------------------------


def test_the_manifest_says_what_was_made_of_what(tmp_path: Path) -> None:
    done = export(ten(), "klaviyo", tmp_path)
    manifest = json.loads((tmp_path / "klaviyo" / "manifest.json").read_text("utf-8"))
    assert manifest == done.manifest
    assert manifest["as_of"] == "2024-12-31"
    assert (manifest["customers"], manifest["rows"]) == (10, 8)
    for file in manifest["files"]:
        content = (tmp_path / "klaviyo" / file["name"]).read_bytes()
        assert file["sha256"] == hashlib.sha256(content).hexdigest()
        assert file["bytes"] == len(content)
    assert [c["name"] for c in manifest["columns"]] == list(read(done.files[0])[0])


def test_the_model_behind_an_export_has_a_version(bg_nbd: Any, gamma_gamma: Any) -> None:
    about = ten(models=(bg_nbd, gamma_gamma)).about
    assert [model["model"] for model in about["models"]] == ["bg_nbd", "gamma_gamma"]
    assert len(about["model_version"]) == 12
    assert ten(models=(bg_nbd,)).about["model_version"] != about["model_version"]
    assert ten(models=(bg_nbd,), version="v000012").about["model_version"] == "v000012"


def test_the_same_customers_give_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    for name in ("klaviyo", "meta-api", "google-ads-api", "parquet", "jsonl"):
        one = export(ten(), name, tmp_path / "a")
        two = export(ten(CUSTOMERS.iloc[::-1]), name, tmp_path / "b")
        for first, second in zip(one.folder.iterdir(), two.folder.iterdir(), strict=True):
            assert first.read_bytes() == second.read_bytes(), first.name


# --- sizes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [400, 700, 10_000])
def test_a_file_is_split_before_it_is_too_large_and_no_row_is_cut(
    most: int, tmp_path: Path
) -> None:
    whole = read(export(ten(), "klaviyo", tmp_path / "whole").files[0])
    small = read_preset("klaviyo").model_copy(update={"max_bytes": most})
    done = export(ten(), small, tmp_path)
    assert all(file.stat().st_size <= most for file in done.files)
    assert [row for file in done.files for row in read(file)] == whole
    assert (len(done.files) > 1) == (most < 1000)


def test_a_file_is_split_by_rows_too(tmp_path: Path) -> None:
    small = read_preset("hubspot").model_copy(update={"max_rows": 3})
    assert [f["rows"] for f in export(ten(), small, tmp_path).manifest["files"]] == [3, 3, 1]
    assert [f.name for f in export(ten(), small, tmp_path).files] == [
        f"hubspot-000{k}.csv" for k in (1, 2, 3)
    ]


def test_a_row_larger_than_a_file_is_refused(tmp_path: Path) -> None:
    small = read_preset("klaviyo").model_copy(update={"max_bytes": 250})
    with pytest.raises(DataError, match="more than the 250 bytes"):
        export(ten(), small, tmp_path)
    assert list(tmp_path.iterdir()) == []


# --- whole or not at all -------------------------------------------------------------------------


def test_a_failed_export_leaves_the_one_before_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(ten(), "csv", tmp_path)
    before = {p.name: p.read_bytes() for p in (tmp_path / "csv").iterdir()}

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(delivery, "write_table", full)
    with pytest.raises(OSError, match="No space"):
        export(ten(labels={"tier": ["x"] * 10}), "csv", tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["csv"]
    assert {p.name: p.read_bytes() for p in (tmp_path / "csv").iterdir()} == before


def test_an_old_export_goes_with_all_its_files(tmp_path: Path) -> None:
    labels = {"tier": ["gold"] * 5 + ["silver"] * 5}
    export(ten(labels=labels), "google-customer-match", tmp_path)
    export(ten(), "google-customer-match", tmp_path)
    assert sorted(p.name for p in (tmp_path / "google-customer-match").iterdir()) == [
        *("google-customer-match.csv", "left_out.csv", "manifest.json"),
    ]


def test_a_folder_that_is_no_export_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "thesis.doc").write_text("x")
    with pytest.raises(DataError, match="is no export"):
        export(ten(), "csv", tmp_path)
    assert [p.name for p in (tmp_path / "csv").iterdir()] == ["thesis.doc"]


# --- databases -----------------------------------------------------------------------------------


def test_a_database_gets_every_customer_once_a_day_however_often(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    for _ in range(2):
        done = export(nasty(), "database", tmp_path, database=url, database_table='the "best"')
    with contextlib.closing(sqlite3.connect(tmp_path / "shop.db")) as database:
        rows = list(database.execute('select customer_id, as_of, first_name from "the ""best"""'))
    assert sorted(row[0] for row in rows) == NASTY
    assert {row[1] for row in rows} == {"2024-12-31"}
    assert [row[0] for row in rows] == [row[2] for row in rows]
    assert done.files == ()
    assert done.manifest["database"] == url
    assert "10 of 10 customers in the" in str(done)


# --- what cannot be done is said -----------------------------------------------------------------


def test_an_unknown_preset_is_named_with_the_nearest() -> None:
    with pytest.raises(DataError, match="did you mean 'klaviyo'"):
        read_preset("klavyo")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('title = "x"\nformat = "csv"\ncolumns = []', "columns"),
        ('title = "x"\nformat = "doc"\ncolumns = [{name="a", field="b"}]', "format"),
        ('title = "x"\nformat = "csv"\ncolumns = [{name="a", field="b", apply=["emial"]}]',
         "did you mean 'email'"),
        ('title = "x"\nformat = "csv"\nunique = "z"\ncolumns = [{name="a", field="b"}]',
         "no column 'z'"),
        ('title = "x"\nformat = "csv"\ncolour = 1\ncolumns = [{name="a", field="b"}]', "colour"),
        ("title = ", "cannot be read"),
    ],
)  # fmt: skip
def test_a_preset_of_your_own_is_checked(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(DataError, match=said):
        read_preset(tmp_path / "mine.toml")


def test_a_preset_of_your_own_is_written(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        'title = "Mine"\nformat = "csv"\none_file_per = "tier"\n'
        'columns = [{ name = "who", field = "customer_id" },'
        ' { name = "Wert", field = "residual_value", apply = ["cents"] }]\n'
    )
    labels = {"tier": [*["Gold & Co."] * 9, None]}
    done = export(ten(labels=labels), tmp_path / "mine.toml", tmp_path)
    assert [file.name for file in done.files] == ["mine-gold-co.csv", "mine-none.csv"]
    assert done.files[1].read_text() == 'who,Wert\n"c9",5.00\n'


def test_what_nobody_has_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="knows people by email"):
        export(ten(None), "meta-api", tmp_path)
    with pytest.raises(DataError, match="no field 'mail'"):
        ten(columns={"mail": "email"})
    with pytest.raises(MissingColumnError, match="no column 'E-Mail'"):
        ten(columns={"email": "E-Mail"})
    with pytest.raises(DataError, match="no country of telephone numbers"):
        export(ten(), "klaviyo", tmp_path, default_region="Iran")
    with pytest.raises(DataError, match="9 values"):
        ten(labels={"tier": ["x"] * 9})
    with pytest.raises(DataError, match="goes into a database"):
        export(ten(), "database", tmp_path)
