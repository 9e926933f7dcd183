"""Every vendor's file, cell by cell, against fixtures that were written without our code.

The hashes were computed with ``printf '%s' TEXT | sha256sum``. Those marked as Meta's own are
published examples: developers.facebook.com, Conversions API, customer information parameters.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyarrow.parquet as pq
import pytest
from shop_of_ten import IDS, ten

from clv.export import export, people, presets, read_preset

SHA = {
    "ada@example.com": "b5fc85e55755f9e0d030a10ab4429b6b2944855f9a0d60077fe832becbc41d72",
    "jörg.müller@münchen.example": (
        "b6cca515888301ca8c3565ebe92cde5edc1bb1414ad3a3026da57ba1be5c1425"
    ),
    "john_smith@gmail.com": (  # Meta's own
        "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"
    ),
    "علی@مثال.ایران": "0b75372d7fe4ec042cbf82ee43b691a7e073923411dedbed18b0106989d1744c",
    "+4930901820": "4db5829924ee5c466cbd9ac69b2a6af527f758614fa3b3aec8c89b16a709a678",
    "+33199001234": "28496b4a5adb864805ece27a9c3ff87b5a0be3732fd166a9ae76820d76d2b301",
    "+442079460958": "f0bf0228144d9fe2bdf1da2d8ca698f17bf1410ee688b075c27062e47b6f0b6d",
    "+16505551212": "1e231c66011e7a2d867a9cfae267a6aff103cf4913640b6e71a99850fc0ffbc8",
    "+989123456789": "c77b80f145ea25a19e1ca97f5fc1f2ea3b205de55b24904e47331da8151e9d9c",
    "4930901820": "c03f76216358b07b09a300613908002987efc1ae9a2ef2a85d57d5a971bf821a",
    "33199001234": "6274015deec739db95ee62572d6d6049d2a6248b04b72801589cfecb541be19a",
    "442079460958": "35e206e5dec4c89b9e8b71b8c32724a5bb518483ac5a20c6617d738375b3b823",
    "16505551212": (  # Meta's own
        "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176"
    ),
    "989123456789": "b4b0a6f04982077f93367d53e95f6e6300cc0edd1095b7fff8f5f457feba33c3",
    "ada": "fdee430d40bd57deeac186cd9790033d0f06f909a8806e7ce6e717ab7c7d5029",
    "o'brien": "65b87174be3b1b122e2b0929f0b84888637d31a4a83bb96a860bcff411f5e668",
    "obrien": "b4cb6cb33fe4b865868de825023a1e2790dc12ac01ecc8d7c5afe8254071c8ba",
    "mary": (  # Meta's own
        "6915771be1c5aa0c886870b6951b03d7eafc121fea0e80a5ea83beb7c449f4ec"
    ),
    "valéry": (  # Meta's own
        "08e1996b5dd49e62a4b4c010d44e4345592a863bb9f8e3976219bac29417149c"
    ),
    "van der berg": "a6fe68a719fbd8e4466cb6992d9a64dd1f6837e26dfc5a024f1393f51d3737c0",
    "müller-lüdenscheidt": "172b16f0eef5e91e526c105ff4b06843eac26a30e1a93522bf8943e6c400f1dc",
    "müllerlüdenscheidt": "5d111567d02391abb8602b6a6498465eb1edf98eb6ba46fa5bd2f2d69351a514",
    "strauß": "3715010ef733d832a79b783ae4142282287ad804504a2d1fb0106822f7b29b3f",
    "علی": "cdd78efef314c9d3e0a12a26b68dfde8bc4d4dcd30708933ab9527d9f0d4c65c",
    "köln": "72903358b624f52cbea526d61506f68b2943ff6da81d9c94b931ffac00703c29",
    "paris": "1670f2e42fefa5044d59a65349e47c566009488fc57d7b4376dd5787b59e3c57",
    "london": "6089854c94ca5454b76be6752c562901a985f64c9a946f62976aeab593b83161",
    "newyork": "350c754ba4d38897693aa077ef43072a859d23f613443133fecbbd90a3512ca5",
    "تهران": "cdb566689830e3e06b3428ced4bb3c5d54a379f2c32d9b28a3e29021a5f84198",
    "de": "959a45d44e6fcf58361ed004681556fe50129f2109e817dec098c00c9e5d2578",
    "fr": "67ad8f41a7bb0a18c45f3efd8f6a32bdcd832bcf8f3f2eb44006c03d53076e18",
    "gb": "0b407281768f0e833afef47ed464b6571d01ca4d53c12ce5c51d1462f4ad6677",
    "us": "79adb2a2fce5c6ba215fe5f27f532d4e7edbac4b6a5e09e1ef3a08084a904621",
    "ir": "08c85bd37cdd0ffce8c39ecd7c7f0ff94e6f45af2aa986673b0c9f1a8a2fffea",
    "01067": "16b070ab68029b81217fad3557fd66ba6a817eb5b1d839cc949e809aec7a0ec8",
    "75001": "3f089dbdff98360a35193e7d401b76b21f5c0d5d6fb76a28660aaaed83a4c3e3",
    "m11ae": "1dc694c2070e697769fb959b50671d76cafd430d8ca191fbdd0affcaea344ac5",
    "94016": "ea49a862bf6e195fe92e0886ed8a89c6565137f3e90c0742d2a00952b307dd55",
    "1134845851": "bb637c6b7c094340bed68eb8dac1101ddb69c98a6bb0b68c3c19b6322eeb652e",
    "": "",
}


def read(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def hashed(*texts: str) -> list[str]:
    return [SHA[text] for text in texts]


# --- Google --------------------------------------------------------------------------------------


def test_google_customer_match_is_hashed_as_google_wants_it_and_one_list_per_tier(
    tmp_path: Path,
) -> None:
    tier = ["gold", "silver", "gold", "silver", "gold", *["silver"] * 5]
    done = export(ten(labels={"tier": tier}), "google-customer-match", tmp_path)
    assert [file.name for file in done.files] == [
        "google-customer-match-gold.csv",
        "google-customer-match-silver.csv",
    ]
    assert done.files[0].read_bytes().startswith(b"Email,Phone,First Name,Last Name,Country,Zip\n")
    assert read(done.files[0])[1:] == [
        [*hashed("ada@example.com", "+4930901820", "ada", "o'brien"), "DE", "01067"],
        [*hashed("", "+442079460958", "mary", "van der berg"), "GB", "M1 1AE"],
        [*hashed("علی@مثال.ایران", "+989123456789", "علی", "علی"), "IR", "1134845851"],
    ]
    assert read(done.files[1])[1:] == [
        [
            *hashed("jörg.müller@münchen.example", "+33199001234", "valéry", "müller-lüdenscheidt"),
            "FR",
            "75001",
        ],
        [*hashed("john_smith@gmail.com", "+16505551212", "mary", "strauß"), "US", "94016-1234"],
    ]
    left = done.manifest["left_out"]
    assert left["reasons"] == {
        "not in customers table": 1,
        "no consent": 1,
        "consent refused": 1,
        "consent unclear": 1,
        "no identifier": 1,
    }
    assert read(tmp_path / "google-customer-match" / "left_out.csv")[1:] == [
        ["c5", "no consent"],
        ["c6", "consent refused"],
        ["c7", "consent unclear"],
        ["c8", "no identifier"],
        ["c9", "not in customers table"],
    ]
    assert done.manifest["cells_unusable"] == {"Country": 1, "Email": 1, "Phone": 1}


def test_google_ads_api_gets_user_data_with_attributes(tmp_path: Path) -> None:
    done = export(ten(), "google-ads-api", tmp_path)
    users = [json.loads(line) for line in done.files[0].read_text("utf-8").splitlines()]
    assert len(users) == 5
    assert users[0] == {
        "user_identifiers": [
            {"hashed_email": SHA["ada@example.com"]},
            {"hashed_phone_number": SHA["+4930901820"]},
            {
                "address_info": {
                    "hashed_first_name": SHA["ada"],
                    "hashed_last_name": SHA["o'brien"],
                    "country_code": "DE",
                    "postal_code": "01067",
                }
            },
        ],
        "user_attribute": {
            "lifetime_value_micros": 150_000_000,
            "lifetime_value_bucket": 10,
            "average_purchase_value_micros": 12_500_000,
            "acquisition_date_time": "2024-01-01 00:00:00",
            "first_purchase_date_time": "2024-01-01 00:00:00",
            "last_purchase_date_time": "2024-03-11 00:00:00",
        },
        "consent": {"ad_user_data": "GRANTED", "ad_personalization": "GRANTED"},
    }
    assert [u["user_attribute"]["lifetime_value_micros"] for u in users] == [
        150_000_000, 50_004_000, 60_000_000, 20_000_000, 0,  # the last is -5: raised to nothing
    ]  # fmt: skip
    # of ten customers the values rank c0 > c2 > c1 > c3 > c5 > c6 > c7 > c8 > c9 > c4
    assert [u["user_attribute"]["lifetime_value_bucket"] for u in users] == [10, 8, 9, 7, 1]
    assert len(users[2]["user_identifiers"]) == 2, "no e-mail, but a telephone and an address"


def test_google_is_not_told_of_consent_that_nobody_asked_for(tmp_path: Path) -> None:
    done = export(ten(), "google-ads-api", tmp_path, consent="ignored")
    users = [json.loads(line) for line in done.files[0].read_text("utf-8").splitlines()]
    assert len(users) == 8
    assert all("consent" not in user for user in users)


# --- Meta ----------------------------------------------------------------------------------------


def test_meta_normalises_telephones_names_places_in_its_own_way(tmp_path: Path) -> None:
    done = export(ten(), "meta-custom-audience", tmp_path)
    assert read(done.files[0]) == [
        ["email", "phone", "fn", "ln", "ct", "st", "country", "zip", "value"],
        [
            *hashed("ada@example.com", "4930901820", "ada", "obrien", "köln", "", "de", "01067"),
            "150.00",
        ],
        [
            *hashed("jörg.müller@münchen.example", "33199001234", "valéry", "müllerlüdenscheidt"),
            *hashed("paris", "", "fr", "75001"),
            "50.00",
        ],
        [
            *hashed("", "442079460958", "mary", "van der berg", "london", "", "gb", "m11ae"),
            "60.00",
        ],
        [
            *hashed("john_smith@gmail.com", "16505551212", "mary", "strauß", "newyork", "", "us"),
            SHA["94016"],
            "20.00",
        ],
        [
            *hashed("علی@مثال.ایران", "989123456789", "علی", "علی", "تهران", "", "ir"),
            SHA["1134845851"],
            "0.00",
        ],
    ]
    assert done.manifest["values_raised_to_zero"] == {"value": 1}


def test_meta_api_payloads_hold_ten_thousand_people_and_know_their_place(tmp_path: Path) -> None:
    small = read_preset("meta-api").model_copy(update={"max_rows": 2})
    done = export(ten(), small, tmp_path)
    bodies = [json.loads(file.read_text()) for file in done.files]
    assert [body["payload"] for body in bodies] == [
        {
            "schema": ["EMAIL", "LOOKALIKE_VALUE"],
            "data": [[SHA["ada@example.com"], 150.0], [SHA["jörg.müller@münchen.example"], 50.0]],
        },
        {
            "schema": ["EMAIL", "LOOKALIKE_VALUE"],
            "data": [[SHA["john_smith@gmail.com"], 20.0], [SHA["علی@مثال.ایران"], 0.0]],
        },
    ]
    sessions = [body["session"] for body in bodies]
    assert len({s.pop("session_id") for s in sessions}) == 1
    assert sessions == [
        {"batch_seq": 1, "last_batch_flag": False, "estimated_num_total": 4},
        {"batch_seq": 2, "last_batch_flag": True, "estimated_num_total": 4},
    ]
    assert read_preset("meta-api").max_rows == 10_000


# --- Klaviyo, HubSpot, Salesforce ----------------------------------------------------------------


def test_klaviyo_profiles(tmp_path: Path) -> None:
    done = export(ten(), "klaviyo", tmp_path)
    rows = read(done.files[0])
    assert rows[0] == [
        *("Email", "Phone Number", "First Name", "Last Name", "City", "Country", "Zip Code"),
        *("customer_id", "historic_clv", "predicted_clv", "total_clv", "churn_probability"),
        *("expected_date_of_next_order", "average_days_between_orders"),
    ]
    assert rows[1:4] == [
        [
            *("ada@example.com", "+4930901820", "Ada", "O'Brien", "Köln", "DE", "01067", "c0"),
            *("100.00", "50.00", "150.00", "0.0000", "2025-02-03", "35.00"),
        ],
        [
            *("jörg.müller@münchen.example", "+33199001234", "Valéry", "Müller-Lüdenscheidt"),
            *("Paris", "FR", "75001", "c1"),
            *("10.00", "40.00", "50.00", "0.1000", "2025-02-03", ""),
        ],
        [
            *("", "+442079460958", "Mary", "van der Berg", "London", "GB", "M1 1AE", "c2"),
            *("30.00", "30.00", "60.00", "0.2000", "", "21.00"),
        ],
    ]
    assert rows[5][9] == "-10.00", "a CRM may know of a loss"
    assert done.manifest["left_out"]["reasons"] == {
        "not in customers table": 1,
        "no identifier": 1,
    }


def test_hubspot_contacts_have_an_address_and_no_address_comes_twice(tmp_path: Path) -> None:
    mails = ten().table["email"].to_pylist()  # c9 has none
    mails[6] = "ADA@example.com"  # c6 is worth less than c0
    table = pd.DataFrame({"customer_id": IDS, "email": mails, "last_name": "x"})
    done = export(ten(table), "hubspot", tmp_path)
    rows = read(done.files[0])
    assert rows[0] == [
        *("Email", "Last name", "clv_customer_id", "clv_historic", "clv_predicted", "clv_total"),
        *("clv_churn_probability", "clv_expected_next_order", "clv_last_order", "clv_orders"),
    ]
    assert rows[1] == [
        *("ada@example.com", "x", "c0", "100.00", "50.00", "150.00", "0.0000"),
        *("2025-02-03", "2024-03-11", "3"),
    ]
    assert [row[2] for row in rows[1:]] == ["c0", "c1", "c3", "c4", "c5", "c7"]
    assert ["c6", "same as another"] in read(tmp_path / "hubspot" / "left_out.csv")


def test_salesforce_is_upserted_by_external_id_and_empties_old_forecasts(tmp_path: Path) -> None:
    done = export(ten(labels={"tier": ["gold"] * 9 + [None]}), "salesforce", tmp_path)
    rows = read(done.files[0])
    assert rows[0] == [
        *("CLV_Customer_Id__c", "FirstName", "LastName", "Email", "Phone", "CLV_Historic__c"),
        *("CLV_Predicted__c", "CLV_Total__c", "CLV_Churn_Probability__c"),
        *("CLV_Expected_Next_Order__c", "CLV_Last_Order__c", "CLV_Orders__c", "CLV_Tier__c"),
    ]
    assert rows[3] == [
        *("c2", "Mary", "van der Berg", "", "+442079460958", "30.00", "30.00", "60.00", "0.2000"),
        *("#N/A", "2024-03-31", "2", "gold"),
    ]
    assert [row[0] for row in rows[1:]] == IDS, "everybody has an id"
    assert rows[10][1:5] == ["", "", "", ""]
    assert rows[10][-1] == "#N/A"
    assert b"\r" not in done.files[0].read_bytes()
    long = ["c0" * 200, *IDS[1:]]
    left = export(ten(None, long), "salesforce", tmp_path).manifest["left_out"]
    assert left["reasons"] == {"too long": 1}


# --- the house's own -----------------------------------------------------------------------------


def test_excel_and_parquet_and_json_hold_what_csv_holds(tmp_path: Path) -> None:
    labels = {"tier": ["gold"] * 10, "stage": ["new"] * 10, "segment": ["loyal"] * 10}
    known = ten(labels=labels)
    tables: dict[str, list[list[Any]]] = {}
    for name in ("csv", "excel", "parquet", "jsonl"):
        file = export(known, name, tmp_path).files[0]
        if name == "csv":
            tables[name] = [[cell.removeprefix("'") for cell in row] for row in read(file)]
            continue
        if name == "excel":
            sheet = openpyxl.load_workbook(file).active
            assert sheet is not None
            head, *cells = [list(row) for row in sheet.iter_rows(values_only=True)]
        elif name == "parquet":
            table = pq.read_table(file)
            head, cells = table.column_names, [list(row.values()) for row in table.to_pylist()]
        else:
            lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
            head, cells = list(lines[0]), [list(line.values()) for line in lines]
        tables[name] = [head, *([_text(cell) for cell in row] for row in cells)]
    assert len(tables["csv"]) == 11
    assert tables["csv"][0][:2] == ["customer_id", "first_name"]
    for name in ("excel", "parquet", "jsonl"):
        assert [[_number(c) for c in row] for row in tables[name]] == [
            [_number(c) for c in row] for row in tables["csv"]
        ], name


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    return str(cell).removesuffix(" 00:00:00")


def _number(cell: str) -> str | float:
    try:
        return float(cell)
    except ValueError:
        return cell


@pytest.mark.parametrize("name", presets())
def test_presets_say_what_they_are_and_ad_platforms_want_consent(name: str) -> None:
    preset = read_preset(name)
    assert preset.name == name
    assert preset.title
    platform = name.startswith(("google", "meta"))
    assert (preset.consent == "required") == platform
    assert bool(preset.documentation) == bool(preset.identified_by)


def test_the_hashes_are_not_ours() -> None:
    """The fixture is a fixture: what it says of these texts is what the function says."""
    assert {text: people.sha256(text) for text in SHA if text} == {
        t: h for t, h in SHA.items() if t
    }
