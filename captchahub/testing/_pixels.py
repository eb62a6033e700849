"""The pixels of a picture, which stay the same if a program such as a browser encodes it anew."""

from __future__ import annotations

import hashlib
import io

from captchahub._support.shadowing import refuse_shadows


def pixel_hash(picture: bytes) -> str | None:
    """Return a hash of the size and the pixels of a picture, or None without Pillow or for no picture."""
    try:
        # Before the import, which would run a script of the user's with that name again.
        refuse_shadows(("PIL",))
        from PIL import Image  # noqa: PLC0415 - the sandbox must work without the drawing packages
    except ImportError:
        return None
    try:
        with Image.open(io.BytesIO(picture)) as opened:
            pixels = opened.convert("RGBA")
    # Pillow's decoders raise errors of many kinds.
    except Exception:  # noqa: BLE001 - it is not a picture that can be compared
        return None
    return hashlib.sha256(f"{pixels.size}".encode() + pixels.tobytes()).hexdigest()
