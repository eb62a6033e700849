"""The file of a batch: appended to, read again, and never half a record longer than the answers."""

import errno
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from captchahub.cli.batch.output import COLUMNS, Output, why_unwritable
from captchahub.cli.batch.totals import Done, Record
from captchahub.errors import ConfigError

SOLVED = {"id": "a.png", "answer": "x7", "is_right": True, "total_cost": "0.5", "error": None}
WRONG = {"id": "b.png", "answer": "y8", "is_right": False, "total_cost": "0.5", "error": None}
FAILED = {"id": "c.png", "total_cost": None, "error": {"type": "AllProvidersFailed", "message": "no\nluck"}}

# In a row of CSV, which is one line, the line break is escaped.
LUCK = {"out.jsonl": "no\nluck", "out.csv": r"no\nluck"}

formats = pytest.mark.parametrize("name", ["out.jsonl", "out.csv"])


def written(path: Path, *records: Record, is_complete: bool = False) -> None:
    with Output(path, retry_failed=False) as output:
        for record in records:
            output.write(record)
        output.close(is_complete=is_complete)


@formats
def test_what_was_written_is_known_when_it_is_opened_again(tmp_path: Path, name: str) -> None:
    written(tmp_path / name, SOLVED, WRONG, FAILED)
    with Output(tmp_path / name, retry_failed=False) as output:
        assert output.done == {
            "a.png": Done(is_right=True, cost=Decimal("0.5")),
            "b.png": Done(is_right=False, cost=Decimal("0.5")),
            "c.png": Done(unpriced=1, failure=("AllProvidersFailed", LUCK[name])),
        }


@formats
@pytest.mark.parametrize("kept", [1, 10])
def test_a_record_that_a_kill_cut_off_is_removed(tmp_path: Path, name: str, kept: int) -> None:
    path = tmp_path / name
    written(path, SOLVED)
    whole = path.read_bytes()
    written(path, WRONG)
    path.write_bytes(path.read_bytes()[: len(whole) + kept])
    written(path, FAILED)
    with Output(path, retry_failed=False) as output:
        assert list(output.done) == ["a.png", "c.png"]


@formats
def test_failed_ones_are_removed_to_be_tried_again(tmp_path: Path, name: str) -> None:
    written(tmp_path / name, SOLVED, FAILED, WRONG)
    with Output(tmp_path / name, retry_failed=True) as output:
        assert list(output.done) == ["a.png", "b.png"]
    assert "c.png" not in (tmp_path / name).read_text()


def test_csv_has_one_line_for_each_record_and_the_message_of_an_error(tmp_path: Path) -> None:
    written(tmp_path / "out.csv", SOLVED, FAILED)
    head, first, second = (tmp_path / "out.csv").read_text().splitlines()
    assert head == ",".join(COLUMNS)
    assert first.startswith("a.png,,,x7,,true,")
    assert r"no\nluck" in second


def test_the_begin_of_a_batch_stays_until_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"

    def begin(spent: Callable[[], Decimal], *, is_complete: bool) -> tuple[float, Decimal]:
        with Output(path, retry_failed=False) as output:
            output.begin(spent)
            output.write(SOLVED)
            output.close(is_complete=is_complete)
            resumed.append(output.is_resumed)
            return output.begun, output.spent_before

    def never() -> Decimal:
        raise AssertionError("it is known")

    resumed: list[bool] = []
    first = begin(lambda: Decimal(3), is_complete=False)
    assert first[1] == 3
    assert begin(never, is_complete=True) == first
    assert not path.with_name("out.jsonl.state").exists()
    assert begin(lambda: Decimal(4), is_complete=False)[1] == 4
    assert resumed == [False, True, False]


def test_a_deleted_output_begins_a_new_batch(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with Output(path, retry_failed=False) as output:
        output.begin(lambda: Decimal(1))
    path.unlink()
    with Output(path, retry_failed=False) as output:
        output.begin(lambda: Decimal(2))
        assert output.spent_before == 2


def test_two_batches_can_not_write_to_one_file(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    with (
        Output(tmp_path / "out.jsonl", retry_failed=False),
        pytest.raises(ConfigError, match="another batch is writing to it"),
    ):
        Output(tmp_path / "out.jsonl", retry_failed=False)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("o.jsonl", b"hello\n", id="text"),
        pytest.param("o.txt", b"my notes\nno newline", id="text that ends without a line break"),
        pytest.param("o.txt", b"no newline", id="one line without a line break"),
        pytest.param("o.png", b"\x89PNG\r\n\x1a\n\0\xff\xfe", id="a picture"),
        pytest.param("o.csv", b"\x89PNG\r\n\x1a\n\0\xff\xfe", id="a picture as CSV"),
        pytest.param("o.jsonl", b"[1]\n", id="other JSON"),
        pytest.param("o.jsonl", b'{"id": "a", "file": "a.png"}\n', id="a list of pictures"),
        pytest.param("o.jsonl", b"[" * 100_000 + b"\n", id="many brackets"),
        pytest.param("o.csv", b"a,b\n1,2\n", id="other CSV"),
        pytest.param("o.csv", ",".join(COLUMNS).encode() + b"\n1,2\n", id="CSV with too few cells"),
        pytest.param("o.csv", b"a,b", id="other CSV without a line break"),
    ],
)
def test_a_file_of_something_else_is_left_as_it_is(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match="is no record of a batch; name another file for -o"):
        Output(tmp_path / name, retry_failed=False)
    assert (tmp_path / name).read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == [name]


@formats
def test_a_line_of_something_else_after_records_is_left_as_it_is(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    written(path, SOLVED)
    content = path.read_bytes() + b"my notes\n" + path.read_bytes()[:-5]
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r":\d: 'my notes' is no record of a batch"):
        Output(path, retry_failed=True)
    assert path.read_bytes() == content


def test_a_whole_record_without_a_line_break_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    written(path, SOLVED)
    path.write_text(path.read_text().rstrip())
    written(path, FAILED)
    with Output(path, retry_failed=False) as output:
        assert list(output.done) == ["a.png", "c.png"]


@formats
def test_the_record_of_a_task_is_found_by_its_fingerprint(tmp_path: Path, name: str) -> None:
    written(tmp_path / name, WRONG, {**FAILED, "fingerprint": "f3"}, {**SOLVED, "fingerprint": "f1"})
    with Output(tmp_path / name, retry_failed=True) as output:
        found = output.find("f1")
        assert found is not None
        assert found["id"] == "a.png"
        assert output.find("f3") is None


def test_a_file_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "out.jsonl"
    with pytest.raises(ConfigError) as caught:
        Output(path, retry_failed=False)
    assert str(caught.value).startswith(f"{path}: it can't be written: No such file or directory; ")


def test_a_full_disk_is_named_in_plain_words() -> None:
    assert why_unwritable(OSError(errno.ENOSPC, "No space left on device")) == "the disk is full"
    assert why_unwritable(OSError(errno.EFBIG, "File too large")) == "File too large"
