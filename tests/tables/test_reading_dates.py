"""Dates in every form they come in."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from table_sources import ENGINES, lines_of, make_source

import clv
from clv.errors import DataError, NoUsableRowsError


def days_read(values: Any, kind: str = "polars", folder: Path = Path(), **options: Any) -> Any:
    """Day that each value is read as, None for rejected ones; the message if all are."""
    column = values if isinstance(values, pa.Array) else pa.array(values)
    numbers = pa.array(range(len(column)))
    table = pa.table({"customer_id": numbers, "date": column, "amount": numbers})
    try:
        transactions = clv.read_transactions(make_source(kind, table, folder), **options)
    except NoUsableRowsError as error:
        return [str(error)]
    found = {row[0]: date.fromordinal(row[1] + 719163) for row in lines_of(transactions)}
    return [found.get(number) for number in range(len(column))]


@pytest.mark.parametrize(
    "text",
    [
        *("2024-03-05", "2024/03/05", "2024.03.05", "2024-3-5", "2024/3/05", "2024-03-5"),
        *("20240305", "20240305T101112", "2024-03-05T10:11", "2024-03-05 10:11:12"),
        *("2024-03-05 9:05", "2024/3/5 23:59:59.999999", "2024-03-05T10:11:12,5Z"),
        *("2024-03-05T23:30:00+05:30", "2024-03-05 10:33:21 -0500", "2024-03-05 10:33 UTC"),
        *("2024-03-05 10:33:21-05", "2024-03-05 3:45 PM", "  2024-03-05\t", "۲۰۲۴-۰۳-۰۵"),
        *("٢٠٢٤/٣/٥", "2024-03-05T10:11:12.123456789z", "\ufeff2024-03-05"),
    ],
)
def test_texts_that_begin_with_the_year(text: str) -> None:
    expected = date(2024, 3, 5)
    if text == "20240305T101112":
        assert "cannot be read as a date" in days_read([text])[0]
    else:
        assert days_read([text]) == [expected]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("05/03/2024", "date may be day-month or month-day: say which with date_format="),
        ("25.12.2024 10:00", "date may be day-month or month-day"),
        ("5-3-24", "date may be day-month or month-day"),
        ("2024-02-30", "date is a day that does not exist"),
        ("2023-02-29", "date is a day that does not exist"),
        ("1900-02-29", "date is a day that does not exist"),
        ("2024-00-10", "date is a day that does not exist"),
        ("2024-13-10", "date is a day that does not exist"),
        ("2024-04-31", "date is a day that does not exist"),
        ("2024-01-00", "date is a day that does not exist"),
        ("20241301", "date is a day that does not exist"),
        ("05032024", "date lies outside the years 1800 to 2199"),
        ("9999-12-31", "date lies outside the years 1800 to 2199"),
        ("1403-01-15", "date lies outside the years 1800 to 2199"),
        ("2024-03", "date cannot be read as a date"),
        ("2024-03-05 25:00", "date cannot be read as a date"),
        ("2024-03-05x", "date cannot be read as a date"),
        ("March 5, 2024", "date cannot be read as a date"),
        ("2024-123", "date cannot be read as a date"),
        ("1709596800", "date cannot be read as a date"),
        ("n/a", "date is missing"),
    ],
)
def test_texts_that_are_not_guessed_at(text: str, reason: str) -> None:
    assert f"1 x {reason}" in days_read([text])[0]


@pytest.mark.parametrize("kind", ENGINES)
def test_eight_digits_as_numbers(kind: str, tmp_path: Path) -> None:
    whole = [19970101, 20240229, None, 20230229, 7]
    expected = [date(1997, 1, 1), date(2024, 2, 29), None, None, None]
    assert days_read(pa.array(whole, pa.int64()), kind, tmp_path) == expected
    assert days_read(pa.array(whole, pa.int32()), kind, tmp_path) == expected
    fractions = pa.array([*whole[:4], 19970101.5], pa.float64())
    assert days_read(fractions, kind, tmp_path) == expected


@given(day=st.dates(date(1800, 1, 1), date(2199, 12, 31)), separator=st.sampled_from("-/."))
@settings(max_examples=60)
def test_every_day_is_read_right(day: date, separator: str) -> None:
    texts = [
        day.isoformat(),
        f"{day.year}{separator}{day.month}{separator}{day.day}",
        day.strftime("%Y%m%d"),
    ]
    assert days_read(texts) == [day] * 3
    assert days_read(pa.array([day, None])) == [day, None]


# --- a stated format ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("date_format", "texts"),
    [
        ("%d/%m/%Y", ["05/03/2024", "5/3/2024"]),
        ("%m/%d/%Y %H:%M", ["03/05/2024 08:26", "3/5/2024 8:26"]),
        ("%d.%m.%y", ["05.03.24"]),
        ("%d%m%Y", ["05032024"]),
        ("%y%m%d", ["240305"]),
        ("%d %b %Y", ["05 Mar 2024", "5  mar 2024"]),
        ("%B %d, %Y", ["March 5, 2024", "MARCH 05, 2024"]),
        ("%A, %d-%b-%y %I:%M:%S %p", ["Tuesday, 05-Mar-24 08:26:01 PM"]),
        ("%Y-%m-%dT%H:%M:%S.%f%z", ["2024-03-05T08:26:01.5+0330"]),
        ("(%Y) %m|%d", ["(2024) 3|5"]),
        ("%-d/%-m/%Y", ["5/3/2024"]),
        ("%d %B %Y %H:%M %Z", ["5 March 2024 10:00 CET"]),
    ],
)
@pytest.mark.parametrize("kind", ["pandas", "duckdb"])
def test_formats(date_format: str, texts: list[str], kind: str, tmp_path: Path) -> None:
    found = days_read([*texts, "2024-3"], kind, tmp_path, date_format=date_format)
    assert found == [date(2024, 3, 5)] * len(texts) + [None]


def test_years_of_two_digits_turn_at_69_as_in_python() -> None:
    assert days_read(["1/1/68", "1/1/69"], date_format="%d/%m/%y") == [
        date(2068, 1, 1),
        date(1969, 1, 1),
    ]


def test_a_format_without_a_day_means_the_first() -> None:
    assert days_read(["2024-03"], date_format="%Y-%m") == [date(2024, 3, 1)]


def test_a_text_in_another_format_is_rejected_by_name() -> None:
    found = days_read(["13/13/2024", "2024-01-01", "01/02/2024 10:00"], date_format="%d/%m/%Y")
    assert "3 x date is not written as date_format='%d/%m/%Y'" in found[0]
    assert (
        "1 x date is a day that does not exist"
        in days_read(["30/02/2024"], date_format="%d/%m/%Y")[0]
    )


@given(
    day=st.datetimes(datetime(1970, 1, 1), datetime(2068, 12, 31)),
    date_format=st.sampled_from(
        ["%d/%m/%Y", "%m-%d-%y", "%d%m%Y", "%d %b %Y %H:%M", "%I:%M %p %B %d %Y", "%Y%m%d%H%M%S"]
    ),
)
@settings(max_examples=40)
def test_formats_agree_with_strptime(day: datetime, date_format: str) -> None:
    text = day.strftime(date_format)
    expected = datetime.strptime(text, date_format).date()
    assert days_read([text], date_format=date_format) == [expected]


@pytest.mark.parametrize(
    ("date_format", "message"),
    [
        ("%d/%m", "must have a year"),
        ("%Y", "and a month"),
        ("%Y-%m-%Q", "date_format has %Q, which is not understood; known are %Y %y"),
        ("%Y-%m-%m", "has %m more than once"),
    ],
)
def test_formats_that_cannot_be_used(date_format: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        days_read(["2024-01-01"], date_format=date_format)


# --- the Jalali calendar --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*ENGINES, "csv"])
def test_jalali_days(kind: str, tmp_path: Path) -> None:
    texts = ["۱۴۰۳/۰۱/۱۵", "1403-01-15", "١٤٠٣/١/١٥ ۱۰:۳۰", "14030115", "1403/12/30", "1402/12/30"]
    table = pa.table({"customer_id": [*range(6)], "date": texts, "amount": ["۱٬۰۰۰"] * 6})
    transactions = clv.read_transactions(make_source(kind, table, tmp_path), calendar="jalali")
    assert [date.fromordinal(day + 719163) for _, day, _ in lines_of(transactions)] == [
        *[date(2024, 4, 3)] * 4,
        date(2025, 3, 20),
    ]
    assert transactions.quality.reasons == {"date is a day that does not exist": 1}


@given(days=st.lists(st.dates(date(1830, 1, 1), date(2110, 12, 31)), min_size=1, max_size=50))
@settings(max_examples=20)
def test_jalali_agrees_with_persiantools(days: list[date]) -> None:
    from persiantools.jdatetime import JalaliDate

    texts = [JalaliDate(day).strftime("%Y-%m-%d") for day in days]
    assert days_read(texts, calendar="jalali") == days
    numbers = pa.array([int(text.replace("-", "")) for text in texts])
    assert days_read(numbers, calendar="jalali") == days


def test_jalali_leap_years_and_month_lengths_agree_with_persiantools() -> None:
    from persiantools.jdatetime import JalaliDate

    texts, expected = [], []
    for year in range(1200, 1500):
        for month, day in ((1, 1), (6, 31), (7, 31), (11, 30), (12, 29), (12, 30)):
            texts.append(f"{year}/{month}/{day}")
            try:
                expected.append(JalaliDate(year, month, day).to_gregorian())
            except ValueError:
                expected.append(None)
    assert days_read(texts, calendar="jalali") == expected


def test_jalali_needs_texts_or_numbers() -> None:
    with pytest.raises(DataError, match=r"column 'date' already holds Date values"):
        days_read(pa.array([date(2024, 1, 1)]), calendar="jalali")
    assert "outside the years 1200 to 1499" in days_read(["2024-01-01"], calendar="jalali")[0]


def test_jalali_without_persiantools_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from clv.tables import _calendars

    _calendars._jalali_table.cache_clear()
    monkeypatch.setitem(sys.modules, "persiantools.jdatetime", None)
    with pytest.raises(DataError, match=r'pip install "predictive-clv\[persian\]"'):
        days_read(["1403-01-15"], calendar="jalali")


def test_an_unknown_calendar_is_named() -> None:
    with pytest.raises(DataError, match="calendar 'hijri' is not known; use 'gregorian' or"):
        days_read(["1403-01-15"], calendar="hijri")


# --- time zones -----------------------------------------------------------------------------------

MOMENTS = [
    datetime(2024, 3, 31, 0, 30, tzinfo=UTC),
    datetime(2024, 6, 30, 22, 59, tzinfo=UTC),
    datetime(2024, 6, 30, 23, 0, tzinfo=UTC),
    datetime(2024, 12, 31, 23, 30, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 30, tzinfo=UTC),
]
ZONES = [
    "UTC",
    "Europe/London",
    "Asia/Tehran",
    "America/New_York",
    "Pacific/Apia",
    "Asia/Kathmandu",
]


def days_in(zone: str) -> list[date]:
    return [moment.astimezone(ZoneInfo(zone)).date() for moment in MOMENTS]


@pytest.mark.parametrize("kind", [*ENGINES, "parquet"])
@pytest.mark.parametrize("zone", ["Europe/London", "Asia/Tehran"])
def test_instants_fall_on_the_day_of_the_zone_asked_for(
    kind: str, zone: str, tmp_path: Path
) -> None:
    column = pa.array(MOMENTS, pa.timestamp("us", "America/New_York"))
    assert days_read(column, kind, tmp_path, timezone=zone) == days_in(zone)


@pytest.mark.parametrize("kind", ["pandas", "pandas-arrow", "polars-lazy", "pyarrow", "parquet"])
@pytest.mark.parametrize("zone", ZONES)
def test_without_that_they_fall_on_the_day_of_their_own_zone(
    kind: str, zone: str, tmp_path: Path
) -> None:
    column = pa.array(MOMENTS, pa.timestamp("us", zone))
    assert days_read(column, kind, tmp_path) == days_in(zone)


def test_duckdb_keeps_the_zone_in_the_connection() -> None:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'Asia/Tehran'")
    relation = connection.sql(
        "SELECT 1 AS customer_id, TIMESTAMPTZ '2024-06-30 22:00:00+00' AS date, 1.0 AS amount"
    )
    transactions = clv.read_transactions(relation)
    assert lines_of(transactions)[0][1] == (date(2024, 7, 1) - date(1970, 1, 1)).days
    assert transactions.quality.notes == (
        "date is the calendar day in its own time zone, Asia/Tehran",
    )


@pytest.mark.parametrize("zone", [None, "Europe/London"])
def test_the_zone_of_the_machine_never_matters(
    zone: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    pq.write_table(
        pa.table({"customer_id": [1], "date": pa.array(MOMENTS[2:3]), "amount": [1.0]}),
        tmp_path / "x.parquet",
    )
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        transactions = clv.read_transactions(tmp_path / "x.parquet", timezone=zone)
    finally:
        monkeypatch.undo()
        time.tzset()
    expected = date(2024, 7, 1) if zone else date(2024, 6, 30)
    assert lines_of(transactions)[0][1] == (expected - date(1970, 1, 1)).days


@pytest.mark.parametrize("kind", [*ENGINES, "csv"])
@pytest.mark.parametrize("zone", ["Europe/London", "Pacific/Apia"])
def test_texts_with_an_offset_are_brought_to_the_zone(kind: str, zone: str, tmp_path: Path) -> None:
    ahead = [timedelta(0), timedelta(hours=-5), timedelta(hours=5, minutes=45)]
    texts = []
    for shift in ahead:
        for moment in MOMENTS:
            there = (moment + shift).replace(tzinfo=None)
            sign, minutes = (
                ("-" if shift < timedelta(0) else "+"),
                abs(shift) // timedelta(minutes=1),
            )
            texts.append(f"{there:%Y-%m-%d %H:%M:%S} {sign}{minutes // 60:02}:{minutes % 60:02}")
    table = pa.table(
        {"customer_id": [*range(len(texts))], "date": texts, "amount": [1] * len(texts)}
    )
    transactions = clv.read_transactions(make_source(kind, table, tmp_path), timezone=zone)
    days = [day for _, day, _ in sorted(lines_of(transactions), key=lambda row: int(row[0]))]
    expected = [(day - date(1970, 1, 1)).days for day in days_in(zone) * 3]
    assert days == expected


@given(
    moment=st.datetimes(datetime(1971, 1, 1), datetime(2037, 12, 31), timezones=st.just(UTC)),
    zone=st.sampled_from(ZONES),
)
@settings(max_examples=40)
def test_zones_agree_with_zoneinfo(moment: datetime, zone: str) -> None:
    expected = moment.astimezone(ZoneInfo(zone)).date()
    text = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    found = days_read([text, "2024-01-01 23:59"], timezone=zone)
    assert found == [expected, date(2024, 1, 1)]
    formatted = moment.strftime("%d/%m/%Y %I:%M %p +0000")
    options = {"date_format": "%d/%m/%Y %I:%M %p %z", "timezone": zone}
    assert days_read([formatted], **options) == [expected]


def test_without_a_zone_texts_stay_on_the_day_as_written() -> None:
    assert days_read(["2024-01-01T23:30:00-08:00"]) == [date(2024, 1, 1)]


def test_notes_say_what_was_done_with_zones() -> None:
    frame = pd.DataFrame({"customer_id": [1], "date": ["2024-01-01T23:30Z"], "amount": 1})
    read = clv.read_transactions
    assert read(frame).quality.notes == ()
    assert read(frame, timezone="Asia/Tehran").quality.notes == (
        "date: texts with a zone offset are brought to Asia/Tehran, others left as written",
    )
    frame["date"] = pd.to_datetime(frame["date"])
    assert read(frame).quality.notes == ("date is the calendar day in its own time zone, UTC",)
    assert read(frame, timezone="Asia/Tehran").quality.notes == (
        "date is the calendar day in Asia/Tehran, converted from UTC",
    )
    frame["date"] = frame["date"].dt.tz_localize(None)
    assert read(frame, timezone="Asia/Tehran").quality.notes == (
        "date carries no time zone: timezone='Asia/Tehran' has no effect",
    )


def test_an_unknown_zone_is_named() -> None:
    with pytest.raises(DataError, match="timezone 'Mars/Base' is not known; use a name such as"):
        days_read(["2024-01-01"], timezone="Mars/Base")


def test_a_fixed_offset_in_a_parquet_file_is_its_zone(tmp_path: Path) -> None:
    column = pa.array(MOMENTS, pa.timestamp("us", "+03:30"))
    expected = [(moment + timedelta(hours=3, minutes=30)).date() for moment in MOMENTS]
    assert days_read(column, "parquet", tmp_path) == expected


def test_polars_dates_beyond_what_pandas_holds() -> None:
    frame = pl.DataFrame(
        {"customer_id": [1, 2], "date": [date(2199, 12, 31), date(3000, 1, 1)], "amount": [1, 1]}
    )
    assert clv.read_transactions(frame).quality.rejected == 1
