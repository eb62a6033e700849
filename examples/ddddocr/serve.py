"""``ddddocr api`` as ddddocr 1.6.1 means it: the arguments are those of that command.

As released, its server hands options to its engine under names that the engine has not, and answers every
picture with HTTP 500 (its issue 312). Here they get the right names; the server is left as it is.
"""

from __future__ import annotations

import sys

import ddddocr
from ddddocr.__main__ import main

_NAMES = {"colors": "color_filter_colors", "custom_color_ranges": "color_filter_custom_ranges"}


class _Engine(ddddocr.DdddOcr):
    def classification(self, img: object, **options: object) -> object:
        named = {_NAMES.get(name, name): value for name, value in options.items()}
        return super().classification(img, **named)


if __name__ == "__main__":
    ddddocr.DdddOcr = _Engine
    sys.argv[1:1] = ["api"]
    main()
