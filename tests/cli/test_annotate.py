"""``captchahub solve --annotate``: the answer on a copy of the picture."""

from pathlib import Path

import PIL.Image
import pytest

from captchahub.testing import Sandbox
from tests.cli.running import run


def test_a_drag_is_drawn_from_start_to_end(home: Path, service: Sandbox) -> None:
    drawn = service.draw_slide()
    (home / "screen.png").write_bytes(drawn.image.data)
    assert run("solve", "screen.png", "--type", "phone-slide", "--annotate", "out.png").exit_code == 0
    with PIL.Image.open(home / "out.png") as picture:
        assert picture.size == (drawn.image.width, drawn.image.height)
        for point, colour in ((drawn.solution.start, (0, 158, 115)), (drawn.solution.end, (213, 94, 0))):
            assert picture.getpixel((round(point.x), round(point.y))) == colour


def test_a_text_is_written_below_the_picture(home: Path, shots: Path) -> None:
    assert run("solve", f"{shots}/ABC.png", "--annotate", "out.png").exit_code == 0
    with PIL.Image.open(shots / "ABC.png") as before, PIL.Image.open(home / "out.png") as after:
        assert (after.width, after.height > before.height) == (before.width, True)
        below = after.crop((0, before.height, after.width, after.height))
        assert below.getextrema() == ((0, 255),) * 3


@pytest.mark.parametrize("files", [("shots/ABC.png", "shots/DEF.png"), ("-",)])
def test_it_is_for_one_file_and_says_so_before_anything_is_paid(
    shots: Path, service: Sandbox, files: tuple[str, ...]
) -> None:
    result = run("solve", *files, "--annotate", "out.png")
    assert result.exit_code == 2
    assert "--annotate is for one FILE" in result.stderr
    assert not service.jobs
    assert shots.exists()


def test_a_name_that_no_picture_has_is_an_error_and_the_answer_is_printed(shots: Path) -> None:
    result = run("solve", f"{shots}/ABC.png", "--annotate", "out.text")
    assert result.exit_code == 1
    assert result.stdout == "ABC\n"
    assert (
        "out.text: no format of pictures has the ending '.text'; name a file such as out.png" in result.stderr
    )
