"""The command ``captchahub``, which is also ``python -m captchahub``."""

from __future__ import annotations

import sys
from importlib.util import find_spec

__all__ = ["main"]


def main() -> None:
    """Run the command line; where its packages are missing, say how to get them and exit with 1."""
    missing = [name for name in ("click", "rich") if find_spec(name) is None]
    if missing:
        names = " and ".join(missing)
        sys.exit(f"captchahub: the command line needs {names}: pip install 'captchahub[cli]'")
    try:
        # Only here: without the extra there is no click to import.
        from captchahub.cli import cli  # noqa: PLC0415
        from captchahub.cli.streams import escape_what_is_lacking  # noqa: PLC0415

        escape_what_is_lacking()
        cli(prog_name="captchahub")
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError:  # only that of a stderr which can't take click's word about wrong usage
        sys.exit(2)


if __name__ == "__main__":
    main()
