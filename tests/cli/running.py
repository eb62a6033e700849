"""Runs the program in this process."""

from click.testing import CliRunner
from click.testing import Result as Ran

from captchahub.cli import cli

TOKEN = "s3cret-token"


def run(*arguments: str) -> Ran:
    """Return how the program ended; no traceback and no token may be in its output."""
    result = CliRunner().invoke(cli, arguments, prog_name="captchahub")
    assert "Traceback" not in result.output, result.output
    assert TOKEN not in result.output
    return result
