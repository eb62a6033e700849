"""``ddddocr api`` of ddddocr 1.6.1 with a fix. The arguments are those of that command.

The released server passes options to its engine under wrong names, and answers every picture with HTTP 500
(its issue 312). This program passes them under the right names and changes nothing else.
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
