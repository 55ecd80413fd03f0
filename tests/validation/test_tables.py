import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunedrop.domain.strict_json import parse_object
from tunedrop.validation.findings import MEANINGS, Severity
from tunedrop.validation.limits import Limits
from tunedrop.validation.tables import DEPTH_LIMIT, Record, _accepted, read_csv, read_json

LIMITS = Limits()
SHORT = Limits(line_bytes=100)
BOM = b"\xef\xbb\xbf"

Reader = Callable[[Iterable[bytes], Limits], Iterator[Record]]


def _csv(data: bytes, limits: Limits = LIMITS) -> list[Record]:
    return list(read_csv([data], limits))


def _json(data: bytes, limits: Limits = LIMITS) -> list[Record]:
    return list(read_json([data], limits))


def _flaws(records: Iterable[Record]) -> list[str]:
    return [flaw.code.removeprefix("data.") for record in records for flaw in record.flaws]


def _warnings(records: Iterable[Record]) -> list[str]:
    return [flaw.code.removeprefix("data.") for record in records for flaw in record.warnings]


def _texts(records: Iterable[Record]) -> list[str]:
    return [record.text for record in records if record.text is not None]


# ---------------------------------------------------------------- CSV


def test_rows_tell_their_text_and_where_they_stand() -> None:
    data = 'id,text\n1,one\n2,"zw\u00f6\r\nlf ""x"""\r\n3,three'.encode()
    assert _csv(data) == [
        Record("one", 2, 8, 6),
        Record('zw\u00f6\r\nlf "x"', 3, 14, 20),
        Record("three", 5, 34, 7),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_line_end_will_do(end: str) -> None:
    data = end.join(["text", "a", "b"]).encode()
    step = 4 + len(end)
    assert _csv(data) == [Record("a", 2, step, 1 + len(end)), Record("b", 3, step + 1 + len(end), 1)]


def test_other_line_separators_are_text() -> None:
    assert _texts(_csv("text\na\u2028b\x0bc\x85d\n".encode())) == ["a\u2028b\x0bc\x85d"]


def test_the_first_column_is_read_with_a_warning_that_tells_no_text() -> None:
    header, row = _csv(b"canary,label\nhello,1\n")
    assert (header.text, header.line, _warnings([header])) == (None, 1, ["first-column"])
    assert header.warnings[0].excerpt == "canary"
    assert "canary" not in header.warnings[0].message
    assert row.text == "hello"


def test_a_header_among_the_rows_is_told() -> None:
    assert _warnings(_csv(b"id,text\n1,a\nid,text\n2,text\n")) == ["repeated-header"]


@pytest.mark.parametrize(
    "row",
    [
        b"The canary sang,x",
        b'"The canary sang all day in its cage",x',
        b"canary,2026-11-23",
        b"17,canary",
        b"canary?,x",
        b'"' + b"canary" * 11 + b'",x',
    ],
)
def test_a_first_row_that_looks_like_data_is_told_to_be_lost(row: bytes) -> None:
    row = row.replace(b"sang,", b"sang.,")
    header, kept = _csv(row + b"\nhello,1\n")
    assert (header.text, header.line, _warnings([header])) == (None, 1, ["no-header"])
    assert "canary" not in header.warnings[0].message
    assert kept.text == "hello"


@pytest.mark.parametrize(
    "row", [b"body,source", b"Full text of the article,", b"article_body,label (0 or 1)", b"Q1,Q2"]
)
def test_names_of_columns_are_a_header(row: bytes) -> None:
    assert _warnings(_csv(row + b"\nhello,1\n")) == ["first-column"]


def test_a_byte_order_mark_is_skipped_with_a_warning() -> None:
    header, row = _csv(BOM + b"text\na\n")
    assert (header.offset, header.size, _warnings([header])) == (0, 8, ["byte-order-mark"])
    assert row == Record("a", 2, 8, 2)


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (b"a", "ragged-row"),
        (b"a,b,c", "ragged-row"),
        (b'a,"b', "not-csv"),
        (b'"a"b,c', "not-csv"),
        (b"a\0,b", "nul"),
        (b"a,b\xff", "not-utf8"),
        (b"a,\xc0\xaf", "not-utf8"),
        (b"a,\xed\xa0\x80", "not-utf8"),
        (b"a," + b"b" * 99, "line-too-long"),
    ],
)
def test_a_bad_row_is_refused_and_the_others_stand(row: bytes, code: str) -> None:
    records = _csv(b"text,x\nbefore,0\n" + row + (b"\nafter,1\n" if b'"b' not in row else b""), SHORT)
    assert _flaws(records) == [code]
    assert (records[1].text, records[1].line, records[1].offset) == (None, 3, 16)
    assert _texts(records) == ["before", "after"][: len(records) - 1]


def test_the_column_of_a_flaw_counts_from_its_record() -> None:
    (record,) = _csv(b'text\n"a\nb\xff"\n')
    assert (record.line, record.offset, record.flaws[0].column) == (2, 5, 4)


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (b"text,text", "duplicate-key"),
        (b",id", "no-text-column"),
        (b"a\xff", "not-utf8"),
        (b"a\0", "nul"),
        (b'"a', "not-csv"),
        (b"a" * 101, "line-too-long"),
        ("text\na".encode("utf-16"), "nul"),
    ],
)
def test_a_header_that_cannot_be_used_ends_the_reading(header: bytes, code: str) -> None:
    (record,) = _csv(header + b"\nb,c\n", SHORT)
    assert _flaws([record]) == [code]
    assert (record.line, record.offset) == (1, 0)


def test_blank_lines_are_skipped_with_a_warning() -> None:
    records = _csv(b"\ntext\n\na\n\r\n")
    assert _texts(records) == ["a"]
    assert [(record.line, record.offset) for record in records if record.warnings] == [(1, 0), (3, 6), (5, 9)]
    assert _warnings(records) == ["blank-line"] * 3


@pytest.mark.parametrize("cell", ["", " \t"])
def test_an_empty_text_is_warned_of(cell: str) -> None:
    (record,) = _csv(f'id,text\n1,"{cell}"\n'.encode())
    assert (record.text, _warnings([record])) == (cell, ["empty-text"])


@pytest.mark.parametrize("cell", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "- item", "--a", "+1 2"])
def test_a_formula_is_warned_of(cell: str) -> None:
    (record,) = _csv(f'id,text\n"{cell}",a\n'.encode())
    assert (record.text, _warnings([record]), record.warnings[0].path) == ("a", ["formula"], "column 1")


@pytest.mark.parametrize("cell", ["-5", "+1.5", "-1,000.5%", "---", "=", "a=b", "\ta", "1-2"])
def test_a_number_or_a_rule_is_no_formula(cell: str) -> None:
    assert _warnings(_csv(f'text\n"{cell}"\n'.encode())) == []


def test_a_quote_that_is_never_closed_is_refused_without_being_held() -> None:
    records = list(read_csv([b"text\nbefore\n", b'"open\n', *[b"a\n"] * 200], SHORT))
    assert _texts(records) == ["before"]
    assert (_flaws(records), records[1].line, records[1].offset) == (["line-too-long"], 3, 12)


def test_a_line_without_end_is_skipped_while_it_streams() -> None:
    size = 64 << 20

    def blocks() -> Iterator[bytes]:
        yield b"text\nbefore\n"
        for _ in range(64):
            yield b"a" * (size // 64)
        yield b"\nafter"

    records = list(read_csv(blocks(), LIMITS))
    assert records == [
        Record("before", 2, 5, 7),
        Record(None, 3, 12, size + 1, records[1].flaws),
        Record("after", 4, 12 + size + 1, 5),
    ]
    assert _flaws(records) == ["line-too-long"]


def test_a_cell_may_be_as_long_as_a_record() -> None:
    before = csv.field_size_limit()
    text = "a" * LIMITS.line_bytes
    assert _texts(_csv(f"text\n{text}\n".encode())) == [text]
    assert csv.field_size_limit() >= before


def test_no_rows_are_no_records() -> None:
    assert _csv(b"") == _csv(b"text\n") == _csv(b"text") == []


# ---------------------------------------------------------------- JSON


def test_lines_tell_their_text_and_where_they_stand() -> None:
    data = '{"text": "zw\u00f6\u2028"}\n{"id": 1, "text": "b"}\r\n{"text":"c"}'.encode()
    assert _json(data) == [
        Record("zw\u00f6\u2028", 1, 0, 20),
        Record("b", 2, 20, 24),
        Record("c", 3, 44, 12),
    ]


def test_items_of_an_array_tell_their_text_and_where_they_stand() -> None:
    data = '\n [ {"text": "zw\u00f6"},\n\n{"text":\n"b"} , {"text":"c"}]\n '.encode()
    assert _json(data) == [
        Record("zw\u00f6", 2, 4, 16),
        Record("b", 4, 23, 13),
        Record("c", 5, 39, 12),
    ]


@pytest.mark.parametrize("form", ["lines", "array"])
def test_an_array_and_lines_are_judged_alike(form: str) -> None:
    rows = {
        b'{"text": "before"}': None,
        b'{"text": "a", "text": "b"}': "duplicate-key",
        b'{"text": "a", "x": {"y": 1, "y": 2}}': "duplicate-key",
        b'{"text": "a", "x": NaN}': "not-finite",
        b'{"text": "a", "x": -Infinity}': "not-finite",
        b'{"text": "a", "x": 1e999}': "not-finite",
        b'{"text": "a", "x": ' + b"9" * 5_000 + b"}": "number-too-large",
        b'{"text": "a", "x": ' + b"9" * 4_000 + b"}": "number-too-large",
        b'{"text": "a", "x": [-9223372036854775809]}': "number-too-large",
        b'{"text": "a\xff"}': "not-utf8",
        b'{"text": "a\xc0\xaf"}': "not-utf8",
        b'{"text": "a\0"}': "nul",
        b'{"text": "a\\u0000"}': "nul",
        b'{"text": "a\\ud800"}': "lone-surrogate",
        b'{"text": "a\tb"}': "not-json",
        b'{"text": null}': "not-text",
        b'{"text": 42}': "not-text",
        b'{"text": ["a"]}': "not-text",
        b'{"Text": "a"}': "missing-field",
        b"{}": "missing-field",
        b"[1, [2]]": "not-an-object",
        b"12": "not-an-object",
        b'"text"': "not-an-object",
        b'{"text": "after", "x": [18446744073709551615, -1, 1.5, true, null], "__proto__": {}}': None,
    }
    data = b"\n".join(rows) if form == "lines" else b"[" + b",\n".join(rows) + b"]"
    records = _json(data)
    assert [next(iter(_flaws([record])), None) for record in records] == list(rows.values())
    assert _texts(records) == ["before", "after"]
    assert [record.line for record in records] == list(range(1, len(rows) + 1))
    for record, row in zip(records, rows, strict=True):
        assert data[record.offset : record.offset + record.size].rstrip(b"\n") == row


@pytest.mark.parametrize(
    "item", ["[" * 100_000, '{"a":' * 100_000, '{"text": "a", "x": ' + "[" * 200 + "]" * 200 + "}"]
)
def test_a_depth_bomb_is_refused(item: str) -> None:
    for data in (f'{{"text": "before"}}\n{item}\n', f'[{{"text": "before"}},{item}'):
        records = _json(data.encode())
        assert (_texts(records), _flaws(records)) == (["before"], ["nested-too-deep"])


def test_nesting_within_the_limit_passes() -> None:
    depth = DEPTH_LIMIT - 1
    assert _texts(_json(b'{"text": "a", "x": ' + b"[" * depth + b"]" * depth + b"}")) == ["a"]
    assert _flaws(_json(b'{"text": "a", "x": ' + b"[" * (depth + 1) + b"]" * (depth + 1) + b"}")) == ["nested-too-deep"]


@pytest.mark.parametrize(
    ("rest", "code"),
    [
        (b"", "not-json"),
        (b",", "not-json"),
        (b",]", "not-json"),
        (b",,", "not-json"),
        (b'{"text": "b"}]', "not-json"),
        (b',{"text": "b', "not-json"),
        (b',{"text": "b"', "not-json"),
        (b',{"text": "b" "c"}]' + b" " * 80, "not-json"),
        (b",nul", "not-json"),
        (b",\xff]", "not-json"),
        (b"}", "not-json"),
        (b"]]", "not-json"),
        (b']\n{"text": "b"}', "not-json"),
        (b"]\0", "not-json"),
        (b',{"text": "' + b"b" * 100 + b'"}]', "line-too-long"),
        (b',{"text": "' + b"b" * 200_000, "line-too-long"),
    ],
)
def test_a_broken_array_yields_what_was_good_and_one_refusal(rest: bytes, code: str) -> None:
    data = b'[{"text": "before"}' + rest
    for blocks in ([data], [data[at : at + 7] for at in range(0, len(data), 7)]):
        records = list(read_json(blocks, SHORT))
        assert (_texts(records), _flaws(records)) == (["before"], [code])


def test_an_array_may_be_empty() -> None:
    assert _json(b"[]") == _json(b" [ ] \n") == _json(b"") == []


def test_white_space_before_an_array_may_be_cut_anywhere() -> None:
    assert _texts(read_json([b"", b"\xef", b"\xbb\xbf", b"\n", b" ", b"[", b'{"text":"a"}', b"]"], LIMITS)) == ["a"]


@pytest.mark.parametrize("data", [b'{"body": "a", "id": 1}\n{"body": "b"}', b'[{"body": "a", "id": 1}, {"body": "b"}]'])
def test_the_first_key_is_read_with_a_warning(data: bytes) -> None:
    records = _json(data)
    assert (_texts(records), _warnings(records)) == (["a", "b"], ["first-column"])


def test_a_key_text_that_comes_late_is_refused_once_for_the_first_record_was_at_fault() -> None:
    records = _json(b'{"": "a"}\n{"": "b", "text": "c"}\n{"text": "d"}\n{"": "e"}')
    assert (_warnings(records), _flaws(records)) == (["first-column"], ["no-text-column", "missing-field"])
    assert [each.line for each in records if each.flaws] == [2, 4]
    assert _texts(records) == ["a", "d"]


def test_a_byte_order_mark_and_blank_lines_are_skipped_with_a_warning() -> None:
    records = _json(BOM + b'\n{"text": " "}\n \r\n{"text": "a"}')
    assert _warnings(records) == ["byte-order-mark", "blank-line", "empty-text", "blank-line"]
    assert [(record.line, record.offset) for record in records] == [(1, 0), (1, 3), (2, 4), (3, 18), (4, 21)]


def test_a_json_line_without_end_is_skipped_while_it_streams() -> None:
    records = list(read_json([b'{"text": "', *[b"a" * 1_000] * 200, b'"}\n', b'{"text": "after"}'], SHORT))
    assert (_flaws(records), _texts(records)) == (["line-too-long"], ["after"])
    assert records[1].offset == 200_013


def test_an_array_is_read_as_it_comes() -> None:
    def blocks() -> Iterator[bytes]:
        yield b"["
        for number in range(100_000):
            yield b'{"text": "%d"},' % number
        pytest.fail("read to the end before the first record")

    assert next(read_json(blocks(), LIMITS)).text == "0"


# ---------------------------------------------------------------- any bytes

TEXTS = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12), min_size=1, max_size=6)
READERS = st.sampled_from([read_csv, read_json])
PIECES = st.lists(
    st.sampled_from(
        [b"text", b",", b"\n", b"\r", b'"', b"a", b"[", b"]", b"{", b"}", b'{"text": "a"}', b'"text":', b"\\ud83d",
         b"1", BOM, b"\xff", b"\0", b"\xc3", b"\xa4", b"=", b" ", b"NaN", b"-", b"9" * 5_000, b"b" * 60]
    ),
    max_size=30,
).map(b"".join)  # fmt: skip


def _cut(data: bytes, cuts: list[int]) -> list[bytes]:
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:stop] for start, stop in pairwise(bounds)]


@given(
    READERS,
    st.one_of(st.binary(), PIECES, PIECES.map(lambda data: b'text\n"a"\n' + data)),
    st.lists(st.integers(0, 300)),
)
@settings(max_examples=200)
def test_any_bytes_give_the_same_records_however_they_are_cut(reader: Reader, data: bytes, cuts: list[int]) -> None:
    records = list(reader([data], SHORT))
    assert list(reader(_cut(data, cuts), SHORT)) == records
    end = line = 0
    for record in records:
        assert (record.text is None) or not record.flaws
        assert record.flaws or record.warnings or record.text is not None
        assert record.offset >= end
        assert record.line >= line
        end, line = record.offset + record.size, record.line
        assert all(MEANINGS[flaw.code].severity is Severity.ERROR for flaw in record.flaws)
        assert all(MEANINGS[flaw.code].severity is Severity.WARNING for flaw in record.warnings)
    assert end <= len(data)


OBJECTS = st.lists(
    st.sampled_from(
        [
            *['"text"', '"a"', '"a\\\\"', '"\\""', '"\\u0022"', '"text', '"', "\\", ":", ":", ",", " ", "\0", "\t"],
            *["1", "-0", "01", "1.", "1e5", "1e999", "-1e999", "9" * 19, "9" * 20, "9" * 400, "null", "true", "NaN"],
            *["[]", "{}", "\\ud83d", "\x7f", "\ud800"],
        ]
    )
)  # fmt: skip


@given(st.one_of(OBJECTS.map("".join), st.lists(st.tuples(*[OBJECTS.map("".join)] * 2)).map(
    lambda pairs: ",".join(f'"{key}":{value}' for key, value in pairs))))  # fmt: skip
@settings(max_examples=200)
def test_what_is_accepted_fast_is_what_the_contract_reads(inner: str) -> None:
    data = f"{{{inner}}}".encode(errors="surrogatepass")
    accepted = _accepted(data)
    assert accepted is None or repr(accepted) == repr(parse_object(data))


@pytest.mark.parametrize(
    "data", [b'{"text":"a","text":"a"}', b'{"a\\\\":"x\\\\","a\\\\":"x\\\\"}', b'{"a":1,"a":"b"}', b'{"a":1e999}']
)
def test_what_only_the_contract_refuses_is_left_to_it(data: bytes) -> None:
    assert _accepted(data) is None


def test_plain_objects_are_accepted_fast() -> None:
    assert _accepted(b'{"text": "a \\"b\\": c", "x": 1, "y": null}') == {"text": 'a "b": c', "x": 1, "y": None}


@given(TEXTS)
def test_csv_reads_what_was_written(texts: list[str]) -> None:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, ["id", "text"], quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows({"id": number, "text": text} for number, text in enumerate(texts))
    assert _texts(_csv(file.getvalue().encode())) == texts


@given(TEXTS, st.booleans(), st.sampled_from([None, 1]))
def test_json_reads_what_was_written(texts: list[str], ascii_only: bool, indent: int | None) -> None:  # noqa: FBT001
    rows = [{"text": text} for text in texts]
    array = json.dumps(rows, ensure_ascii=ascii_only, indent=indent)
    lines = "\n".join(json.dumps(row, ensure_ascii=ascii_only) for row in rows)
    assert _texts(_json(array.encode())) == _texts(_json(lines.encode())) == texts


@given(TEXTS, st.floats(0, 1, exclude_max=True))
def test_a_truncated_array_never_passes(texts: list[str], share: float) -> None:
    data = json.dumps([{"text": text} for text in texts]).encode()
    cut = data[: int(share * len(data))]
    records = _json(cut)
    assert _texts(records) == texts[: len(_texts(records))]
    assert not cut or len(_flaws(records)) == 1


@pytest.mark.parametrize(
    ("read", "content", "code"),
    [
        (read_csv, b"instruction,context,response\na,b,c\n", "data.not-running-text"),
        (read_csv, b"id;text\n0;hello\n", "data.separator"),
        (read_csv, b"id\ttext\n0\thello\n", "data.separator"),
        (read_json, b'{"prompt": "a", "completion": "b"}\n', "data.not-running-text"),
        (read_json, b'[{"instruction": "a", "response": "b"}]', "data.not-running-text"),
    ],
)
def test_what_is_no_running_text_is_refused(read: Reader, content: bytes, code: str) -> None:
    assert code in {flaw.code for record in read([content], Limits()) for flaw in record.flaws}


def test_a_text_column_beside_an_answer_is_running_text() -> None:
    assert not any(record.flaws for record in read_csv([b"text,response\na,b\n"], Limits()))
