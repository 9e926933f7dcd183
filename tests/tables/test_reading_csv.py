"""CSV: broken lines cost themselves and nothing else, and keep their line number."""

from __future__ import annotations

import csv
import gc
import gzip
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from table_sources import lines_of, rejected_of

import clv
from clv.errors import DataError, MissingColumnError, NoUsableRowsError, UnreadableFileError
from clv.tables import _csv
from clv.tables._csv_layout import read_layout

HEADER = b"customer_id,date,amount\n"
GOOD = b"%d,2024-01-01,5\n"
OTHER_FIELDS = "line has {} fields, the header has 3"
BAD_QUOTES = "quotation mark is not closed, or out of place"


def write(folder: Path, *lines: bytes, name: str = "orders.csv") -> Path:
    path = folder / name
    data = b"".join(lines)
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def ids(transactions: clv.Transactions) -> list[str]:
    return [row[0] for row in lines_of(transactions)]


BROKEN = {
    b"2,2024-01-01\n": OTHER_FIELDS.format(2),
    b"2,2024-01-01,5,9\n": OTHER_FIELDS.format(4),
    b"nothing\n": OTHER_FIELDS.format(1),
    b"2,2024-01-01,1,234.5\n": OTHER_FIELDS.format(4),
    b'2,"2024-01-01,5\n': BAD_QUOTES,
    b'"2"x,2024-01-01,5\n': BAD_QUOTES,
    b'"2,2024-01-01,5"\n': OTHER_FIELDS.format(1),
    b'2,2024-01-01,"5\n': BAD_QUOTES,
    b"2,2024-01-01,\xff\xfe\n": "line is not valid UTF-8 (is another encoding= needed?)",
    b"caf\xe9,2024-01-01,5\n": "line is not valid UTF-8 (is another encoding= needed?)",
    b"2,2024-01-01\r,5\n": BAD_QUOTES,
    b"2," + b"x" * 1_000_001 + b",5\n": "line is longer than 1,000,000 bytes",
}


@pytest.mark.parametrize(("line", "reason"), BROKEN.items())
@pytest.mark.parametrize(
    ("name", "neighbours"), [("orders.csv", GOOD), ("orders.csv.gz", b'"%d","2024-01-01","5"\n')]
)
def test_a_broken_line_costs_only_itself(
    line: bytes, reason: str, neighbours: bytes, name: str, tmp_path: Path
) -> None:
    before, after = (
        b"".join(neighbours % number for number in numbers)
        for numbers in (range(100, 150), range(150, 200))
    )
    path = write(tmp_path, HEADER, before, line, after, name=name)
    transactions = clv.read_transactions(path)
    assert ids(transactions) == [str(number) for number in range(100, 200)]
    assert transactions.quality.reasons == {reason: 1}
    (rejected,) = rejected_of(transactions)
    assert (rejected["row"], rejected["reason"]) == (52, reason)
    assert rejected["text"][:10] == line[:10].decode(errors="replace").strip()
    assert rejected["customer_id"] is None


def test_every_kind_of_broken_line_at_once(tmp_path: Path) -> None:
    good = [GOOD % number for number in range(1000, 1000 + len(BROKEN))]
    lines = [line for pair in zip(good, BROKEN, strict=True) for line in pair]
    transactions = clv.read_transactions(write(tmp_path, HEADER, *lines))
    assert ids(transactions) == [str(1000 + number) for number in range(len(BROKEN))]
    found = [(row["row"], row["reason"]) for row in rejected_of(transactions)]
    assert found == [(3 + 2 * at, reason) for at, reason in enumerate(BROKEN.values())]
    quality = transactions.quality
    assert quality.rows == 2 * len(BROKEN) == quality.used + quality.rejected


def test_line_numbers_count_blank_lines_and_newlines_in_quotes(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        b"customer_id,date,amount,note\n",  # line 1
        b'1,2024-01-01,5,"two\nlines"\n',  # 2 and 3
        b"\n",  # 4
        b"2,2024-01-32,5,x\n",  # 5
        b'3,2024-01-01,5,"a\n\nb, ""c""\n"\n',  # 6 to 9
        b"   \n",  # 10
        b"4,2024-01-01\n",  # 11
        b'5,,5,"\n"\n',  # 12 and 13
        b"6,2024-01-01,x,",  # 14
    )
    transactions = clv.read_transactions(path)
    assert ids(transactions) == ["1", "3"]
    assert [(row["row"], row["reason"]) for row in rejected_of(transactions)] == [
        (5, "date is a day that does not exist"),
        (11, "line has 2 fields, the header has 4"),
        (12, "date is missing"),
        (14, "amount is not a number"),
    ]


def test_an_open_quote_does_not_swallow_rows_that_are_whole(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        HEADER,
        b'1,"2024-01-01,5\n',
        b"2,2024-01-01,5\n",
        b'3,2024-01-01",5\n',  # would close the quote of line 2
        b'4,"2024-01-01",5\n',
    )
    transactions = clv.read_transactions(path)
    assert ids(transactions) == ["2", "4"]
    assert transactions.quality.reasons == {BAD_QUOTES: 1, "date cannot be read as a date": 1}


@pytest.mark.parametrize(
    ("delimiter", "newline", "encoding"),
    [
        *((delimiter, "\n", "utf-8") for delimiter in ",;\t|"),
        *((",", newline, "utf-8") for newline in ("\r\n", "\r")),
        *((";", "\r\n", encoding) for encoding in ("utf-8-sig", "utf-16", "cp1256")),
        ("\t", "\r", "utf-16"),
    ],
)
def test_ways_of_writing(delimiter: str, newline: str, encoding: str, tmp_path: Path) -> None:
    rows = [
        ["customer_id", "date", "amount"],
        ["علي", "2024-01-01", "1.5"],
        ["x", "2024-01-02", "y"],
    ]
    text = newline.join(delimiter.join(f'"{value}"' for value in row) for row in rows)
    path = write(tmp_path, (text + newline).encode(encoding))
    options = {"encoding": encoding} if encoding == "cp1256" else {}
    transactions = clv.read_transactions(path, **options)
    assert lines_of(transactions) == [("علي", 19723, 1.5)]
    assert [row["row"] for row in rejected_of(transactions)] == [3]


def test_mixed_newlines_are_all_newlines(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER, b"1,2024-01-01,5\r\n2,2024-01-01,5\n3,2024-01-01,5\r\n4,?,5\r\n")
    transactions = clv.read_transactions(path)
    assert ids(transactions) == ["1", "2", "3"]
    assert [row["row"] for row in rejected_of(transactions)] == [5]


def test_fields_in_which_quotes_are_only_characters(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        b"customer_id,date,amount,what\n",
        b'1,2024-01-01,5,7" disc\n',
        b'2,2024-01-01,5,"7"" disc, ""black"""\n',
        b'3,2024-01-01,5, "spaced" \n',
        b"4,2024-01-01,5,#5\n",
        b"5,2024-01-01,5,'a\n",
    )
    transactions = clv.read_transactions(path)
    assert ids(transactions) == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize(
    ("start", "delimiter"),
    [
        (b"\n\n", ","),
        (b"sep=;\r\n", ";"),
        (b"\xef\xbb\xbfsep=;\n", ";"),
        (b"\xef\xbb\xbf", ","),
        (b"", ";"),
    ],
)
def test_what_may_stand_before_the_header(start: bytes, delimiter: str, tmp_path: Path) -> None:
    rows = HEADER + b"1,2024-01-01,5\n2,?,5\n"
    path = write(tmp_path, start, rows.replace(b",", delimiter.encode()))
    transactions = clv.read_transactions(path)
    assert ids(transactions) == ["1"]
    assert rejected_of(transactions)[0]["row"] == start.count(b"\n") + 3


def test_headers_of_every_kind(tmp_path: Path) -> None:
    path = write(
        tmp_path, b' "Customer\nID" , When ,"Total, net",,\n7,2024-01-01,5,,\n8,2024-01-01,x,a,b\n'
    )
    transactions = clv.read_transactions(
        path, customer_id="Customer\nID", date="When", amount="Total, net"
    )
    assert ids(transactions) == ["7"]
    (rejected,) = rejected_of(transactions)
    assert [*rejected] == [
        *("row", "Customer\nID", "When", "Total, net", "column_4", "column_5", "reason")
    ]
    assert rejected["row"] == 4


def test_a_delimiter_can_be_told(tmp_path: Path) -> None:
    path = write(tmp_path, b"customer_id~date~amount,x\n1~2024-01-01~5\n")
    with pytest.raises(MissingColumnError, match="its columns are 'customer_id~date~amount', 'x'"):
        clv.read_transactions(path)
    transactions = clv.read_transactions(path, delimiter="~", amount="amount,x")
    assert ids(transactions) == ["1"]


def test_repeated_columns_are_an_error_only_where_it_matters(tmp_path: Path) -> None:
    path = write(tmp_path, b"customer_id,date,amount,note,note\n1,2024-01-01,5,a,b\n")
    assert ids(clv.read_transactions(path)) == ["1"]
    path = write(tmp_path, b"customer_id,date,date,amount\n1,2024-01-01,2024-01-02,5\n")
    with pytest.raises(DataError, match="has several columns 'date'; rename all but one"):
        clv.read_transactions(path)


def test_values_are_texts_whatever_the_first_rows_look_like(tmp_path: Path) -> None:
    path = write(
        tmp_path, HEADER, *(GOOD % number for number in range(30_000)), b"X7,2024-01-01,5\n"
    )
    transactions = clv.read_transactions(path)
    assert transactions.quality.used == 30_001
    assert ids(transactions)[-1] == "X7"


def test_several_files_are_one_table(tmp_path: Path) -> None:
    write(tmp_path, HEADER, b"1,2024-01-01,5\n", b"2,?,5\n", name="a.csv")
    write(tmp_path, HEADER, b'"3","2024-01-01",5\r\n', b"4,2024-01-01\n", name="b.csv")
    write(tmp_path, HEADER, b"5,2024-01-01,5\n", name="c.csv.gz")
    for source in (tmp_path, tmp_path / "*.csv*"):
        transactions = clv.read_transactions(source)
        assert ids(transactions) == ["1", "3", "5"]
        found = [(Path(row["file"]).name, row["row"]) for row in rejected_of(transactions)]
        assert found == [("a.csv", 3), ("b.csv", 3)]
    write(tmp_path, b"customer_id,when,amount\n", name="d.csv")
    with pytest.raises(UnreadableFileError, match=r"do not have the same columns: a\.csv has"):
        clv.read_transactions(tmp_path)


def test_a_header_alone_and_rows_that_are_all_broken(tmp_path: Path) -> None:
    with pytest.raises(NoUsableRowsError, match=r"orders\.csv has no rows"):
        clv.read_transactions(write(tmp_path, HEADER))
    message = (
        "none of the 2 rows of the file .* can be used: 2 x line has 2 fields, the header has 3"
    )
    with pytest.raises(NoUsableRowsError, match=message):
        clv.read_transactions(write(tmp_path, HEADER, b"1,2\n", b"3,4\n"))


def test_a_file_in_another_encoding_says_so(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER, "é,2024-01-01,5\n".encode("latin-1"))
    with pytest.raises(NoUsableRowsError, match="1 x line is not valid UTF-8"):
        clv.read_transactions(path)
    assert ids(clv.read_transactions(path, encoding="latin-1")) == ["é"]
    with pytest.raises(UnreadableFileError, match=r"is not encoded in 'ascii'.*with encoding="):
        clv.read_transactions(path, encoding="ascii")
    with pytest.raises(DataError, match="encoding 'klingon' is not known; use a name such as"):
        clv.read_transactions(path, encoding="klingon")


# --- the structure, against Python's own reader ---------------------------------------------------

fields = st.text(st.sampled_from("ab1 ,\"\n'é"), max_size=6)
tables = st.lists(st.lists(fields, min_size=3, max_size=3), min_size=1, max_size=30)


def blocks_of(size: int, data: bytes, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    monkeypatch.setattr(_csv, "BLOCK_BYTES", size)
    layout = read_layout(b"a,b,c\n")
    assert layout is not None
    return list(_csv.pieces(io.BytesIO(b"a,b,c\n" + data), layout))


def summary(parts: list[Any]) -> tuple[int, int, list[Any]]:
    rows = [part for part in parts if isinstance(part, _csv.Rows)]
    lost = [part for part in parts if isinstance(part, _csv.Lost)]
    return sum(part.records for part in rows), sum(part.lines for part in rows), lost


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=tables)
def test_whatever_python_writes_is_in_order(
    table: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(table)
    data = text.getvalue().encode()
    for size in (16, 100, 1 << 22):
        records, lines, lost = summary(blocks_of(size, data, monkeypatch))
        # A field whose inner lines look like whole rows themselves cannot be told from a broken
        # quote; nothing else may be lost.
        if not any(line.count(",") == 2 for row in table for line in "".join(row).split("\n")):
            assert (records, lost) == (len(table), [])
            assert lines == data.count(b"\n")


pieces_of_lines = st.lists(
    st.sampled_from(
        [*BROKEN][:-1] * 2 + [b"1,2,3\n"] * 30 + [b'"1","2","3"\n', b"\n", b'a,"b\nc",d\n']
    ),
    max_size=120,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=pieces_of_lines)
@example(lines=[b'1,"2\n'] * 5 + [b"1,2,3\n"] * 40)
def test_blocks_and_windows_do_not_change_the_result(
    lines: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = b"".join(lines)
    monkeypatch.setattr(_csv, "SMALLEST_WINDOW", 40)
    whole = summary(blocks_of(1 << 22, data, monkeypatch))
    for size in (1, 64, 1000):
        assert summary(blocks_of(size, data, monkeypatch)) == whole
    monkeypatch.setattr(_csv, "_rows_in_order", lambda block, layout: None)
    assert summary(blocks_of(1 << 22, data, monkeypatch)) == whole


# --- large files ----------------------------------------------------------------------------------


def large_file(path: Path, megabytes: int, middle: bytes) -> int:
    """Write orders around one line in the middle; return the number of good rows."""

    def block() -> Iterator[bytes]:
        for number in range(20_000):
            yield b"%d,%d,2024-%02d-%02d 08:26:00,%d.25,WHITE HANGING HEART T-LIGHT HOLDER\n" % (
                *(500_000 + number, 10_000 + number, 1 + number % 12, 1 + number % 28, number % 97),
            )

    text = b"".join(block())
    halves = max(1, megabytes * 500_000 // len(text))
    with path.open("wb") as file:
        file.write(b"invoice,customer_id,date,amount,what\n")
        file.write(text * halves)
        file.write(middle)
        file.write(text * halves)
    return 2 * halves * 20_000


MIDDLE = [b"1,2\n", b'1,"2,2024-01-01,5,x\n', b"1,2,2024-01-01,5,\xff\n"]


@pytest.mark.parametrize("middle", MIDDLE)
def test_a_broken_line_in_the_middle_of_a_large_file(middle: bytes, tmp_path: Path) -> None:
    check_large(tmp_path / "large.csv", 10, middle)


@pytest.mark.slow
@pytest.mark.parametrize("middle", MIDDLE)
def test_a_broken_line_in_the_middle_of_200_megabytes(middle: bytes, tmp_path: Path) -> None:
    check_large(tmp_path / "large.csv", 200, middle)


def check_large(path: Path, megabytes: int, middle: bytes) -> None:
    good = large_file(path, megabytes, middle)
    transactions = clv.read_transactions(path)
    assert (transactions.quality.used, transactions.quality.rejected) == (good, 1)
    assert transactions.quality.customers == 20_000
    (rejected,) = rejected_of(transactions)
    assert rejected["row"] == good // 2 + 2
    assert rejected["text"].encode() == middle.strip().replace(b"\xff", "\ufffd".encode())


def test_the_copy_of_a_broken_file_goes_when_nothing_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    transactions = clv.read_transactions(write(tmp_path, HEADER, b"1,2024-01-01,5\n1,2\n"))
    assert [path.name for path in temporary.rglob("*.csv")] == ["broken.csv", "rows.csv"]
    assert transactions.quality.rejected == 1
    del transactions
    gc.collect()
    assert [*temporary.iterdir()] == []
