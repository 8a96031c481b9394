"""The lines of a file from elsewhere, whatever became of it: what is good comes out."""

from __future__ import annotations

import gzip
import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from duckstore import errors
from duckstore.formats import sample
from duckstore.formats.sample import HEAD_SIZE, decode_line, json_lines, lines, take_sample
from tests.formats.reading import Report


def read(path: Path, data: bytes) -> tuple[list[tuple[int, Any]], list[tuple[str, str]]]:
    """The values of a file's lines, and what was told of it."""
    path.write_bytes(data)
    report = Report()
    found = [(number, value) for number, value, _ in json_lines(path, report)]
    return found, report.skipped


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file.jsonl"


GOOD = '{"a": 1}\n\n{"a": "é"}\n'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom"])
@pytest.mark.parametrize("is_gzip", [False, True])
def test_a_byte_order_mark_is_understood(encoding: str, is_gzip: bool, file: Path) -> None:
    data = GOOD.encode(encoding.removesuffix("-bom"))
    data = b"\xff\xfe" + data if encoding.endswith("-bom") else data
    found, told = read(file, gzip.compress(data) if is_gzip else data)
    assert (found, told) == ([(1, {"a": 1}), (3, {"a": "é"})], [])
    taken = take_sample(file)
    assert (taken.values, taken.is_gzip) == (({"a": 1}, {"a": "é"}), is_gzip)


def test_a_half_written_last_line_is_told(file: Path) -> None:
    found, told = read(file, GOOD.encode() + b'{"b": ')
    assert [number for number, _ in found] == [1, 3]
    ((place, reason),) = told
    assert place == "line 4"
    assert reason.startswith("not JSON: ")


def test_bytes_that_are_no_utf_8_are_read_as_windows_1252(file: Path) -> None:
    """Of one line only those bytes, and it is told; a surrogate of another program stays one."""
    data = b'["\xe9 \xc3\xa9 \x81"]\n["\xed\xa0\x80 \xe9"]\n["\xed\xa0\x80"]\n'
    found, told = read(file, data)
    assert found == [(1, ["é é \x81"]), (2, ["\ud800 é"]), (3, ["\ud800"])]
    assert [place for place, _ in told] == ["line 1", "line 2"]
    assert all("Windows-1252" in reason for _, reason in told)


def test_lines_of_several_encodings_are_each_read_as_far_as_they_can_be(file: Path) -> None:
    data = b'["one"]\n' + '["two"]\n'.encode("utf-16-le") + b'["\xe9"]\n["three"]\n'
    found, told = read(file, data)
    assert [value for _, value in found] == [["one"], ["two"], ["é"], ["three"]]
    assert [place for place, _ in told] == ["line 2", "line 3"]


def test_a_gzip_file_that_breaks_off_gives_what_stands_before(file: Path) -> None:
    """Wherever it does, and where it is damaged, or something else follows."""
    data = b"".join(b'{"n": %d, "x": %d}\n' % (n, n * 7919 % 1_000_003) for n in range(3000))
    packed = gzip.compress(data)
    for broken in (packed[: len(packed) // 2], packed[:-4], packed + b"more", packed[:30]):
        found, told = read(file, broken)
        assert [value["n"] for _, value in found] == list(range(len(found)))
        assert any("breaks off" in reason for _, reason in told)
        assert len(found) >= 1000 or len(broken) == 30
        assert take_sample(file).is_gzip
    found, told = read(file, packed[:40] + b"\xff\xff\xff" + packed[43:])
    assert any("breaks off" in reason for _, reason in told)


def test_a_line_that_is_too_long_is_told_and_passed_over(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not held; one as long as the limit is read."""
    monkeypatch.setattr(sample, "LARGEST_LINE", 3 << 20)
    longest = b'"' + b"y" * ((3 << 20) - 2) + b'"\n'
    file.write_bytes(b"1\n" + b"x" * (20 << 20) + b"\n2\n" + longest + b"z" * (4 << 20))
    report = Report()
    tracemalloc.start()
    found = [(number, len(text)) for number, text, _ in lines(file, report)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == [(1, 1), (3, 1), (4, 3 << 20)]
    assert [place for place, _ in report.skipped] == ["line 2", "line 5"]
    assert peak < 16 << 20


@pytest.mark.slow  # it writes and reads 600 MB
def test_a_line_of_200_mb_is_read_and_one_above_the_limit_is_not(file: Path) -> None:
    with file.open("wb") as out:
        out.write(b'{"a": "')
        for _ in range(200):
            out.write(b"x" * 1_000_000)
        out.write(b'"}\n')
        for _ in range(400):
            out.write(b"x" * 1_000_000)
        out.write(b'\n{"b": 1}\n')
    report = Report()
    found = [(number, len(str(value))) for number, value, _ in json_lines(file, report)]
    assert found == [(1, 200_000_009), (3, 8)]
    ((place, reason),) = report.skipped
    assert place == "line 2"
    assert "256 MiB" in reason


@pytest.mark.parametrize(
    "value", [1, 2**70, 10**18, 1e300, float("inf"), "\ud800", {"a": [1.5, None, True]}, 0.1]
)
def test_a_line_is_decoded_as_json_does_it(value: Any) -> None:
    """Also where orjson would make a float of an integer, or refuses the line."""
    assert decode_line(json.dumps(value).encode()) == value


@pytest.mark.parametrize("text", [b"{", b"[" * 100_000, b"\xff", b"nonsense"])
def test_what_is_no_json_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError):
        decode_line(text)


def test_the_sample_is_the_beginning(file: Path, tmp_path: Path) -> None:
    """Complete lines only; those that are no JSON are left out, and there are 20 at most."""
    file.write_bytes(b"".join(b"[%d]\nno\n" % n for n in range(30)))
    assert take_sample(file).values == tuple([n] for n in range(20))
    file.write_bytes(b'[1]\n"' + b"x" * HEAD_SIZE)
    taken = take_sample(file)
    assert (len(taken.head), taken.values) == (HEAD_SIZE, ([1],))
    file.write_bytes(b"")
    assert take_sample(file).values == ()
    assert take_sample(tmp_path).is_folder


def test_what_is_no_file_is_told(file: Path, tmp_path: Path) -> None:
    """Nothing is read from a pipe or a device, which might never end."""
    os.mkfifo(file)
    for path in (file, Path("/dev/zero"), tmp_path / "missing", tmp_path / "\0"):
        with pytest.raises(errors.ImportFileError):
            take_sample(path)
        with pytest.raises(errors.ImportFileError):
            list(lines(path, Report()))
    with pytest.raises(errors.ImportFileError):
        list(lines(tmp_path, Report()))
