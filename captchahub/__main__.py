"""The command ``captchahub``, which is also ``python -m captchahub``."""

from __future__ import annotations

import sys
from contextlib import suppress

__all__ = ["main"]


def main() -> None:
    """Run the command line. If its packages are missing, print how to install them and exit with 1."""
    try:
        _run()
    # During the imports, or while the arguments are parsed; the program itself handles it after that.
    except KeyboardInterrupt:
        if sys.stderr is not None:
            with suppress(OSError):
                sys.stderr.write("interrupted\n")
        sys.exit(130)
    except OSError:  # stderr failed while click reported wrong usage
        sys.exit(2)


def _run() -> None:
    # All are imported late, so that Ctrl-C meanwhile ends without a traceback. click may not be installed.
    from importlib.util import find_spec  # noqa: PLC0415 - see above

    missing = [name for name in ("click", "rich") if find_spec(name) is None]
    if missing:
        names = " and ".join(missing)
        sys.exit(f"captchahub: the command line needs {names}: pip install 'captchahub[cli]'")

    from captchahub.cli import cli  # noqa: PLC0415 - see above
    from captchahub.cli.streams import escape_unencodable  # noqa: PLC0415 - see above

    escape_unencodable()
    cli(prog_name="captchahub")


if __name__ == "__main__":
    main()
