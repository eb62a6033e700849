"""The file of a batch: appended to, read again, and never half a record longer than the answers."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from captchahub.cli.batch.output import COLUMNS, Done, Output, Record
from captchahub.errors import ConfigError

SOLVED = {"id": "a.png", "answer": "x7", "is_right": True, "total_cost": "0.5", "error": None}
WRONG = {"id": "b.png", "answer": "y8", "is_right": False, "total_cost": "0.5", "error": None}
FAILED = {"id": "c.png", "total_cost": None, "error": {"type": "AllProvidersFailed", "message": "no\nluck"}}

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
            "a.png": Done(is_solved=True, is_right=True, cost=Decimal("0.5")),
            "b.png": Done(is_solved=True, is_right=False, cost=Decimal("0.5")),
            "c.png": Done(is_solved=False, is_right=None, cost=None),
        }
        assert output.is_resumed


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
            return output.begun, output.spent_before

    def never() -> Decimal:
        raise AssertionError("it is known")

    first = begin(lambda: Decimal(3), is_complete=False)
    assert first[1] == 3
    assert begin(never, is_complete=True) == first
    assert not path.with_name("out.jsonl.state").exists()
    assert begin(lambda: Decimal(4), is_complete=False)[1] == 4


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
    ("name", "text"), [("o.jsonl", "hello\n"), ("o.jsonl", "[1]\n"), ("o.csv", "a,b\n1,2\n")]
)
def test_a_file_of_something_else_is_left_as_it_is(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match="name another file for -o"):
        Output(tmp_path / name, retry_failed=False)
    assert (tmp_path / name).read_text() == text
