"""The documentation is true: its code runs, its configuration loads, what it names is there."""

from __future__ import annotations

import inspect
import io
import json
import logging
import re
import shlex
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import click
import PIL.Image
import pytest
import yaml

import captchahub
import captchahub.errors
from captchahub import Hub, Image, ImageToText
from captchahub.cli import cli
from captchahub.config import load_yaml
from captchahub.hookspecs import HookSpecs
from captchahub.settings import JournalSettings, ProviderSettings
from captchahub.testing import Sandbox, load_emulation
from tests.cli.test_cli import posix, read_until, started

TREE = Path(__file__).parents[1]
README = (TREE / "README.md").read_text()
PAGES = {str(path.relative_to(TREE)): path.read_text() for path in sorted(TREE.glob("docs/**/*.md"))}
# The language of a directive, such as {toctree}, is in braces.
BLOCK = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# Its blocks build on one another: tests/wheels/test_write_a_provider.py runs them.
TUTORIAL = "docs/guides/write-a-provider.md"
ALONE = {page: text for page, text in {"README.md": README, **PAGES}.items() if page != TUTORIAL}
# The packages beside the library have tests of their own for their blocks.
OTHERS = [
    "CHANGELOG.md",
    *(
        str(path.relative_to(TREE))
        for folder in ("examples", "plugins")
        for path in sorted(TREE.glob(f"{folder}/*/README.md"))
    ),
]
LINKS = re.compile(r"\]\((?!\w+:)([^)#]*)(?:#([^)]+))?\)")
HOOKS = sorted(name for name in vars(HookSpecs) if name.startswith("captchahub_"))


def blocks(language: str, page: str = README) -> list[str]:
    return [text for found, text in BLOCK.findall(page) if found == language]


def code_with_its_configuration() -> Iterator[tuple[str, str, str]]:
    """Each page's blocks of code with the configuration that it shows last before them, or the README's."""
    for page, text in ALONE.items():
        shown = blocks("yaml")[0]
        for language, block in BLOCK.findall(text):
            if language == "yaml":
                shown = block
            elif language == "python":
                yield page, block, shown


@pytest.fixture
def second_sandbox() -> Iterator[Sandbox]:
    """A service that speaks createTask, as 2Captcha does."""
    with Sandbox(load_emulation("createtask")) as running:
        yield running


def without_the_top(screen: Image) -> bytes:
    """The screenshot as a page on preparing tasks sends it."""
    with PIL.Image.open(io.BytesIO(screen.data)) as whole:
        file = io.BytesIO()
        whole.crop((0, 60, whole.width, whole.height)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def at_work(
    configuration: str,
    sandbox: Sandbox,
    second_sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A folder with what the pages take for granted: two pictures, and accounts at the services."""
    document: dict[str, Any] = yaml.safe_load(configuration)
    services = {"omocaptcha": sandbox, "createtask": second_sandbox}
    for name, provider in document["providers"].items():
        provider.update(services[provider["plugin"]].settings(name))
    for name in ("config.yaml", "captchahub.yaml"):
        (tmp_path / name).write_text(yaml.safe_dump(document))
    text, slide = sandbox.draw_text("x7kp2"), sandbox.draw_slide()
    second_sandbox.know(text)
    sandbox.script(without_the_top(slide.image), slide.solution)
    (tmp_path / "shots").mkdir()
    for name in ("captcha.png", "shots/text-01.png"):
        (tmp_path / name).write_bytes(text.image.data)
    (tmp_path / "screen.png").write_bytes(slide.image.data)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """Undo what a page's code does to loggers, which later tests would notice."""
    loggers = (logging.getLogger(), logging.getLogger("captchahub"))
    before = [(logger.level, [*logger.handlers]) for logger in loggers]
    yield
    for logger, (level, handlers) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        logger.handlers[:] = handlers


@pytest.mark.usefixtures("at_work", "logging_as_before")
# A page shows what a hub does in forked processes.
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize(
    ("page", "code", "configuration"),
    [pytest.param(*block, id=f"{block[0]}-{n}") for n, block in enumerate(code_with_its_configuration())],
)
def test_every_block_of_code_runs(page: str, code: str) -> None:
    exec(compile(code, page, "exec"), {"__name__": "__main__"})


@posix
@pytest.mark.parametrize("configuration", [blocks("yaml")[0]])
def test_the_answers_that_a_page_shows_are_what_the_sandbox_takes(at_work: Path) -> None:
    page = PAGES["docs/guides/testing.md"]
    (answers,) = blocks("json", page)
    (at_work / "answers.json").write_text(answers)
    (command,) = (line for text in blocks("", page) for line in text.splitlines())
    program, *arguments = command.split()
    assert program == "captchahub"
    with started(*arguments, cwd=at_work) as process:
        said = read_until(process, "Pictures of your own")
    assert "Pictures of your own that it can answer: 2." in said


@posix
def test_five_minutes_lead_to_the_text_of_a_picture(tmp_path: Path) -> None:
    page = PAGES["docs/start/five-minutes.md"]
    (configuration,) = blocks("yaml", page)
    commands = re.findall(r"^captchahub (.*)$", page, re.MULTILINE)
    serve, solve = commands[:2]
    with started(*serve.replace("8080", "0").split(), cwd=tmp_path) as process:
        said = read_until(process, "Pictures it can answer")
        address = re.search(r"127\.0\.0\.1:\d+", said)
        assert address is not None
        configuration = configuration.replace("127.0.0.1:8080", address[0])
        assert configuration in said
        (tmp_path / "captchahub.yaml").write_text(configuration)
        with started(*solve.split(), cwd=tmp_path) as solving:
            out, err = solving.communicate(timeout=60)
    answers = json.loads((tmp_path / "shots" / "answers.json").read_text())
    assert (out, err) == (f"{answers['text-01.png']['answer']}\n", "")


def shown_commands() -> Iterator[list[str]]:
    """The command lines of captchahub that the pages show, without redirections and remarks."""
    for page in ("README.md", *PAGES, *OTHERS):
        for text in blocks("sh", (TREE / page).read_text()):
            for line in re.findall(r"^captchahub (.*)$", text, re.MULTILINE):
                yield shlex.split(line.partition(" > ")[0], comments=True)


@pytest.mark.usefixtures("at_work")
@pytest.mark.parametrize("configuration", [blocks("yaml")[0]])
def test_every_command_it_shows_can_be_given(tmp_path: Path) -> None:
    (tmp_path / "answers.json").write_text("{}")
    for words in shown_commands():
        command: click.Command | None = cli
        while isinstance(command, click.Group):
            _, command, words = command.resolve_command(click.Context(command), words)  # noqa: PLW2901
        assert command is not None, words
        command.make_context(command.name, words)


def test_every_block_of_code_is_typed(tmp_path: Path, mypy_cache: str) -> None:
    from mypy import api  # noqa: PLC0415 - it is slow to import, and each worker collects all tests

    codes = [code for page in ALONE.values() for code in blocks("python", page)]
    files = [tmp_path / f"block_{number}.py" for number, _ in enumerate(codes)]
    for file, code in zip(files, codes, strict=True):
        file.write_text(code)
    out, err, status = api.run(["--strict", "--cache-dir", mypy_cache, *map(str, files)])
    assert (status, err) == (0, ""), out


def shown_providers(text: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> list[ProviderSettings]:
    """The providers of a configuration that a page shows, after a hub was made of it."""
    for name in re.findall(r"env:(\w+)", text):
        monkeypatch.setenv(name, "postgresql://host/db" if name == "JOURNAL_URL" else name.lower())
    path = directory / "config.yaml"
    path.write_text(text)
    settings = load_yaml(path)
    # No database runs at the address.
    journal = JournalSettings() if settings.journal.url is not None else settings.journal
    Hub(attrs.evolve(settings, journal=journal)).close()
    return list(settings.providers.values())


def test_every_configuration_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = {
        page: [shown_providers(text, tmp_path, monkeypatch) for text in blocks("yaml", ALONE[page])]
        for page in ALONE
        if blocks("yaml", ALONE[page])
    }
    assert {
        page: [[(provider.name, provider.plugin) for provider in providers] for providers in configurations]
        for page, configurations in shown.items()
    } == {
        "README.md": [[("omo", "omocaptcha"), ("backup", "omocaptcha")]],
        "docs/explained/polling.md": [[("omo", "omocaptcha")]],
        "docs/guides/configuration.md": [[("omo", "omocaptcha"), ("backup", "omocaptcha")]],
        "docs/guides/many-machines.md": [[("omo", "omocaptcha")]],
        "docs/guides/money.md": [[("omo", "omocaptcha")]],
        "docs/guides/production.md": [[("omo", "omocaptcha"), ("backup", "createtask")]],
        "docs/guides/several-providers.md": [
            [("omo", "omocaptcha"), ("spare", "omocaptcha"), ("backup", "createtask")]
        ],
        "docs/start/five-minutes.md": [[("sandbox", "omocaptcha")]],
    }


@pytest.mark.parametrize("configuration", blocks("yaml", PAGES["docs/guides/several-providers.md"]))
def test_with_several_providers_the_second_service_answers_where_the_first_is_down(
    at_work: Path, sandbox: Sandbox
) -> None:
    sandbox.stop()
    with Hub.from_yaml(at_work / "config.yaml") as hub:
        result = hub.solve(ImageToText(Image.open("captcha.png")))
    assert (result.provider, result.solution.text) == ("backup", "x7kp2")
    assert {attempt.provider for attempt in result.attempts} == {"omo", "spare", "backup"}


def anchors(text: str) -> set[str]:
    """What a link can name after "#" in a page: its headings, as GitHub writes them."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", ["README.md", *PAGES, *OTHERS])
def test_every_file_and_heading_it_points_to_is_there(page: str) -> None:
    path = TREE / page
    for target, anchor in LINKS.findall(path.read_text()):
        file = path.parent / target if target else path
        assert file.exists(), target
        assert not anchor or anchor in anchors(file.read_text()), f"{target}#{anchor}"


def test_the_index_links_every_page() -> None:
    linked = {(TREE / "docs" / target).resolve() for target, _ in LINKS.findall(PAGES["docs/index.md"])}
    assert {(TREE / page).resolve() for page in PAGES} - linked == {TREE / "docs" / "index.md"}


def test_the_readme_links_no_page_that_only_the_site_shows() -> None:
    shown = {path for path, text in PAGES.items() if "This page of the site shows" in text}
    assert shown
    assert not shown & {target for target, _ in LINKS.findall(README)}


@pytest.mark.parametrize("page", ["README.md", *PAGES, *OTHERS, "config.example.yaml"])
def test_it_names_no_private_module(page: str) -> None:
    assert re.findall(r"captchahub(?:[/.]\w+)*[/.]_(?!_)\w+", (TREE / page).read_text()) == []


def test_the_readme_is_one_screen_of_what_it_is() -> None:
    assert len(README.splitlines()) <= 150


def test_every_error_has_a_row_on_the_page_of_errors() -> None:
    rows = set(re.findall(r"^\| `(\w+)` \|", PAGES["docs/reference/errors.md"], re.MULTILINE))
    classes = {
        name
        for name, value in vars(captchahub.errors).items()
        if inspect.isclass(value) and issubclass(value, captchahub.CaptchaHubError)
    }
    assert classes - rows == {"CaptchaHubError", "ProviderError"}


@pytest.mark.parametrize(
    ("name", "good_end"),
    [
        ("demo", "12 of 12 right"),
        ("solve", "text-02.png: solved by sandbox"),
        ("config-check", "did you mean 'api_token'?"),
    ],
)
def test_the_picture_of_a_terminal_shows_a_good_end_and_fetches_nothing(name: str, good_end: str) -> None:
    picture = (TREE / "docs" / "images" / f"{name}.svg").read_text()
    shown = "".join(ET.fromstring(picture).itertext()).replace("\N{NO-BREAK SPACE}", " ")
    assert good_end in re.sub(r"\s+", " ", shown)
    assert set(re.findall(r"\w+://[\w.]+", shown)) <= {"http://127.0.0.1"}
    assert re.findall(r"@import|url\((?!#)|href|/home/|/root|/tmp/", picture) == []


class TestHooks:
    def test_each_has_a_page_that_begins_with_its_name_and_shows_it_at_work(self) -> None:
        for hook in HOOKS:
            page = PAGES[f"docs/reference/hooks/{hook}.md"]
            assert page.startswith(f"# {hook}\n")
            assert any(f"def {hook}(" in code for code in blocks("python", page))
            assert f"reference/hooks/{hook}.md" in PAGES["docs/guides/plugins.md"]

    def test_each_is_used_by_something_that_is_shipped(self) -> None:
        shipped = [
            TREE / "captchahub" / "_plugins" / "hooks.py",
            *TREE.glob("plugins/*/captchahub_*/**/*.py"),
        ]
        used = {
            name for path in shipped for name in re.findall(r"@hookimpl[^\n]*\n *def (\w+)", path.read_text())
        }
        assert used == set(HOOKS)


def test_every_public_name_is_described() -> None:
    bare = [name for name in captchahub.__all__ if not getattr(captchahub, name).__doc__]
    assert bare == []


def test_the_changelog_has_a_place_for_what_is_new() -> None:
    assert "## [Unreleased]" in (TREE / "CHANGELOG.md").read_text()
