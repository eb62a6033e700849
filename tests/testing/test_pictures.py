"""The pictures that the sandbox draws, and their solutions."""

import io
import string
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image as Pillow
from PIL import ImageStat

from captchahub import ImageToText, PhoneSlide, Point, Size, SlideSolution, TextSolution
from captchahub.testing import CLEAR_CHARACTERS, DrawnPicture, DrawnSlide, DrawnText, Painter


def pixels(drawn: DrawnPicture) -> Pillow.Image:
    return Pillow.open(io.BytesIO(drawn.image.data)).convert("RGB")


def patch(picture: Pillow.Image, at: Point, radius: int = 10) -> Pillow.Image:
    return picture.crop((int(at.x) - radius, int(at.y) - radius, int(at.x) + radius, int(at.y) + radius))


def brightness(picture: Pillow.Image) -> float:
    return ImageStat.Stat(picture.convert("L")).mean[0]


# Text


def test_a_text_of_ones_own_is_drawn_and_known() -> None:
    drawn = Painter().text("Hello")
    assert drawn.solution == TextSolution("Hello")
    assert drawn.task() == ImageToText(drawn.image)


@pytest.mark.parametrize("text", ["日本", "a日", "a\tb", "a\nb", "a\u200bb", "\N{GRINNING FACE}"])
def test_a_text_that_the_font_cannot_show_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="the font can't show '"):
        Painter().text(text)


@pytest.mark.parametrize("text", ["Hé llo", "Привет", "ω+€?", string.printable.strip()])
def test_a_text_with_other_letters_and_signs_is_drawn(text: str) -> None:
    assert Painter().text(text).text == text


def test_a_chosen_text_has_the_length_and_the_characters_asked_for() -> None:
    drawn = Painter().text(length=9, characters=string.digits)
    assert len(drawn.text) == 9
    assert drawn.text.isdigit()


def test_characters_that_look_alike_are_avoided() -> None:
    for alike in ("0OQD", "1I", "5S", "2Z", "8B", "6G", "UV"):
        assert sum(character in CLEAR_CHARACTERS for character in alike) <= 1


def test_a_phrase_has_several_words() -> None:
    assert [len(word) for word in Painter().text(words=3, length=4).text.split()] == [4, 4, 4]


def test_every_clear_character_leaves_ink_on_the_paper() -> None:
    for character in CLEAR_CHARACTERS:
        drawn = pixels(Painter().text(character * 4))
        darkest, brightest = drawn.convert("L").getextrema()
        assert (darkest, brightest) < (160, 256)
        dark = drawn.convert("L").histogram()[:190]
        assert sum(dark) > 0.06 * drawn.width * drawn.height


def test_a_picture_gets_wider_with_its_text() -> None:
    painter = Painter()
    assert painter.text("AAAA").image.width < painter.text("AAAAAAAA").image.width


@pytest.mark.parametrize("options", [{"length": 0}, {"words": 0}])
def test_nothing_to_draw_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        Painter().text(length=options.get("length", 5), words=options.get("words", 1))


@pytest.mark.parametrize(
    ("answer", "right"), [("AbC 1", True), ("abc 1", True), ("ABC  1 ", True), ("ABC1", False), ("", False)]
)
def test_an_answer_is_right_whatever_its_capitals(answer: str, right: bool) -> None:
    assert Painter().text("AbC 1").accepts(TextSolution(answer)) is right


def test_capitals_count_where_they_are_told_to() -> None:
    drawn = Painter().text("AbC", case_sensitive=True)
    assert drawn.accepts(TextSolution("AbC"))
    assert not drawn.accepts(TextSolution("abc"))


# Slides


@pytest.fixture(scope="module")
def slides() -> list[DrawnSlide]:
    painter = Painter(seed=4)
    return [painter.slide() for _ in range(6)]


def test_the_truth_is_a_possible_answer_to_the_task(slides: list[DrawnSlide]) -> None:
    for drawn in slides:
        assert drawn.task() == PhoneSlide(drawn.image)
        assert drawn.task().check(drawn.solution) is None
        assert drawn.accepts(drawn.solution)


def test_the_gap_is_darker_than_the_piece_that_fits_it(slides: list[DrawnSlide]) -> None:
    for drawn in slides:
        picture = pixels(drawn)
        piece, gap = (brightness(patch(picture, at)) for at in (drawn.piece, drawn.gap))
        assert gap < 0.75 * piece


def test_the_handle_is_where_the_truth_says(slides: list[DrawnSlide]) -> None:
    for drawn in slides:
        off_centre = Point(drawn.handle.x, drawn.handle.y + 18)
        red, _, blue = ImageStat.Stat(patch(pixels(drawn), off_centre, radius=3)).mean
        assert blue > 3 * red


def test_the_puzzles_differ(slides: list[DrawnSlide]) -> None:
    assert len({drawn.gap for drawn in slides}) > 3
    assert len({drawn.image.sha256 for drawn in slides}) == len(slides)


def test_equal_seeds_draw_the_same_screen() -> None:
    assert Painter(9).slide() == Painter(9).slide() != Painter(10).slide()


@pytest.mark.parametrize(("width", "height"), [(360, 640), (1080, 2340)])
def test_a_screen_has_the_size_asked_for(width: int, height: int) -> None:
    drawn = Painter().slide(width=width, height=height)
    assert (drawn.image.width, drawn.image.height) == (width, height)
    assert drawn.task().check(drawn.solution) is None


@pytest.mark.parametrize(("width", "height"), [(100, 300), (900, 600)])
def test_a_screen_that_is_no_phone_is_refused(width: int, height: int) -> None:
    with pytest.raises(ValueError, match="too small or too wide: try 540x1140"):
        Painter().slide(width=width, height=height)


def drag(start: Point, by: float) -> SlideSolution:
    return SlideSolution(start, Point(start.x + by, start.y))


def test_a_drag_may_miss_by_the_tolerance() -> None:
    drawn = Painter().slide(tolerance=4)
    misses = (-4.5, -3.5, 0, 3.5, 4.5)
    rights = [drawn.accepts(drag(drawn.handle, drawn.distance + miss)) for miss in misses]
    assert rights == [False, True, True, True, False]


def test_a_drag_may_take_the_piece_itself(slides: list[DrawnSlide]) -> None:
    assert slides[0].accepts(SlideSolution(slides[0].piece, slides[0].gap))


def test_a_drag_must_take_hold_of_something(slides: list[DrawnSlide]) -> None:
    beside = Point(slides[0].handle.x + 40, slides[0].handle.y)
    assert not slides[0].accepts(drag(beside, slides[0].distance))


def test_a_drag_on_another_size_of_the_screen_is_scaled_first(slides: list[DrawnSlide]) -> None:
    drawn = slides[0]
    whole = SlideSolution(drawn.solution.start, drawn.solution.end, Size(540, 1140))
    assert drawn.accepts(whole.scaled(1080, 2280))
    assert not drawn.accepts(SlideSolution(whole.start, whole.end, Size(1080, 2280)))


def test_an_answer_of_the_wrong_type_is_wrong(slides: list[DrawnSlide]) -> None:
    text = DrawnText(slides[0].image, "A")
    assert not slides[0].accepts(text.solution)
    assert not text.accepts(slides[0].solution)


# Without the extra


@pytest.mark.parametrize(
    ("package", "drawing"), [("captcha", "text()"), ("PIL", "text()"), ("PIL", "slide()")]
)
def test_without_the_packages_only_drawing_fails_and_says_what_to_install(package: str, drawing: str) -> None:
    script = f"""
import sys
sys.modules[{package!r}] = None
from captchahub.testing import Painter
try:
    Painter().{drawing}
except ImportError as error:
    print(error)
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.stderr == ""
    assert "pip install 'captchahub[testing]'" in ended.stdout


# With something else of that name


def run_as(path: Path, source: str) -> subprocess.CompletedProcess[str]:
    path.write_text(source)
    return subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, timeout=30, check=False
    )


DRAWING = """
print("it runs")
from captchahub.testing import Painter
try:
    Painter().text("x7kp2")
except ImportError as error:
    print(error)
"""


@pytest.mark.parametrize("name", ["captcha.py", "PIL.py"])
def test_a_script_that_is_called_like_a_package_is_named_and_not_run_again(tmp_path: Path, name: str) -> None:
    ended = run_as(tmp_path / name, DRAWING)
    package = name.removesuffix(".py")
    found = f"{tmp_path / name} is imported instead: rename that file"
    said = f"captchahub needs the package {package}, and {found}"
    assert (ended.stdout.splitlines(), ended.stderr) == (["it runs", said], "")


def test_so_is_another_package_of_that_name(tmp_path: Path) -> None:
    (tmp_path / "captcha").mkdir()
    (tmp_path / "captcha" / "__init__.py").write_text("")
    said = run_as(tmp_path / "script.py", DRAWING).stdout
    assert (
        f"and {tmp_path / 'captcha' / '__init__.py'} is imported instead: rename that, if it is yours" in said
    )


@pytest.mark.parametrize("name", ["yaml.py", "requests.py", "attrs.py", "pluggy.py"])
def test_so_is_one_that_hides_what_the_library_needs(tmp_path: Path, name: str) -> None:
    ended = run_as(tmp_path / name, "import captchahub\n")
    assert ended.stderr.splitlines()[-1] == (
        f"ImportError: captchahub needs the package {name.removesuffix('.py')}, and {tmp_path / name} "
        "is imported instead: rename that file"
    )
