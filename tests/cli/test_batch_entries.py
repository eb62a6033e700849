"""What a batch reads: folders, patterns and lists."""

import json
from pathlib import Path

import click
import pytest

from captchahub.cli.batch.entries import Entry, read_entries


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures and other files; no picture is opened while a source is read."""
    for name in ("b.png", "a.JPG", "notes.txt", "deeper/c.webp"):
        path = tmp_path / "shots" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path / "shots"


def files(entries: list[Entry], folder: Path) -> list[str]:
    return [str(entry.file.relative_to(folder)) for entry in entries]


def test_a_folder_is_read_with_the_folders_in_it(folder: Path) -> None:
    assert files(read_entries([str(folder)]), folder) == ["a.JPG", "b.png", "deeper/c.webp"]


def test_a_pattern_is_expanded_here_for_shells_that_do_not(folder: Path) -> None:
    assert files(read_entries([str(folder / "**" / "*.[pw]*")]), folder) == ["b.png", "deeper/c.webp"]


def test_answers_in_a_folder_name_types_and_truths(folder: Path) -> None:
    drag = {"start": {"x": 1, "y": 2}, "end": {"x": 3, "y": 4}}
    answers = {
        "b.png": "x7kp2",
        "deeper/c.webp": {"kind": "phone-slide", "answer": "1 2 3 4", "solution": drag},
    }
    (folder / "answers.json").write_text(json.dumps(answers))
    plain, text, slide = read_entries([str(folder)])
    assert (plain.truth, text.truth, slide.truth) == (None, "x7kp2", drag)
    assert (plain.kind, text.kind, slide.kind) == (None, None, "phone-slide")
    assert files(read_entries([str(folder / "answers.json")]), folder) == ["b.png", "deeper/c.webp"]


def test_a_csv_file_has_a_column_for_each_option_and_paths_begin_at_its_folder(folder: Path) -> None:
    (folder / "list.csv").write_text(
        "file,id,type,truth,length\na.JPG,first,,x7kp2,5\nb.png,,phone-slide,,\n"
    )
    first, second = read_entries([str(folder / "list.csv")])
    assert first == Entry(
        "first", folder / "a.JPG", f"{folder / 'list.csv'}:2", None, {"length": "5"}, "x7kp2"
    )
    assert (second.id, second.kind, second.options) == (str(folder / "b.png"), "phone-slide", {})


def test_json_lines_have_the_same_keys(folder: Path) -> None:
    (folder / "list.jsonl").write_text(
        '{"file": "a.JPG", "length": 5}\n\n{"file": "/elsewhere/x.png", "id": 7}\n'
    )
    first, second = read_entries([str(folder / "list.jsonl")])
    assert (first.options, first.source) == ({"length": 5}, f"{folder / 'list.jsonl'}:1")
    assert (second.id, second.file) == ("7", Path("/elsewhere/x.png"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("list.csv", "picture\na.png\n", "list.csv:2: it has no file; name the picture under 'file'"),
        ("list.csv", "file\na.png,b\n", "list.csv:2: more cells than the first line has"),
        ("list.csv", 'file\n"a.png\n', "list.csv: not CSV: "),
        ("list.csv", "", "list.csv: there is no picture in it"),
        ("list.csv", "file\na.png\na.png\n", "list.csv:3: "),
        ("list.jsonl", "{file: 1}\n", "list.jsonl:1: not JSON: "),
        ("list.jsonl", "[1]\n", "list.jsonl:1: expected a JSON object, found a list"),
        (
            "list.jsonl",
            '{"file": "a.png", "type": 3}\n',
            "list.jsonl:1: type must be the name of a task type",
        ),
        ("answers.json", '{"a.png": 5}', "answers.json: the answer to 'a.png' is neither text nor an object"),
    ],
)
def test_a_mistake_in_a_list_is_reported_with_its_line(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(click.UsageError) as caught:
        read_entries([str(tmp_path / name)])
    assert message in caught.value.message


def test_what_does_not_exist_is_reported(tmp_path: Path) -> None:
    with pytest.raises(click.UsageError, match="nowhere: there is no such file or folder"):
        read_entries([str(tmp_path / "nowhere")])
    with pytest.raises(click.UsageError, match="there is no picture in it"):
        read_entries([str(tmp_path / "*.png")])


def test_an_id_that_is_used_twice_names_both_places(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("file,id\na.png,one\nb.png,one\n")
    with pytest.raises(click.UsageError, match=r"list\.csv:3: 'one' is named in .*list\.csv:2 too"):
        read_entries([str(tmp_path / "list.csv")])
