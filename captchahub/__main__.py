"""The command ``captchahub``, which is also ``python -m captchahub``."""

from __future__ import annotations

import sys
from importlib.util import find_spec

__all__ = ["main"]


def main() -> None:
    """Run the command line. If its packages are missing, print how to install them and exit with 1."""
    missing = [name for name in ("click", "rich") if find_spec(name) is None]
    if missing:
        names = " and ".join(missing)
        sys.exit(f"captchahub: the command line needs {names}: pip install 'captchahub[cli]'")
    try:
        # Imported late, because click may not be installed.
        from captchahub.cli import cli  # noqa: PLC0415
        from captchahub.cli.streams import escape_unencodable  # noqa: PLC0415

        escape_unencodable()
        cli(prog_name="captchahub")
    # During the imports, or while the arguments are parsed; the program itself handles it after that.
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError:  # stderr failed while click reported wrong usage
        sys.exit(2)


if __name__ == "__main__":
    main()
