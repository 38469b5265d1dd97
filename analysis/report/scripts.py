"""The scripts and the style of a page, and the policy that lets no other script run."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent
# Vega 5.33.0, Vega-Lite 5.23.0 and Vega-Embed 6.29.0, as they are published; licences beside them.
_LIBRARIES = ("vega", "vega-lite", "vega-embed")


@cache
def style() -> str:
    """Return the style sheet of the page."""
    return (_FOLDER / "page.css").read_text(encoding="utf-8")


@cache
def scripts() -> tuple[str, ...]:
    """Return the scripts of a page in the order in which they run; the last is its own."""
    libraries = [_FOLDER / "vega" / f"{name}.min.js" for name in _LIBRARIES]
    read = [path.read_text(encoding="utf-8") for path in (*libraries, _FOLDER / "page.js")]
    # The map that the last line names is not here, and nobody is to ask for it.
    return tuple(text.partition("\n//# sourceMappingURL=")[0] for text in read)


@cache
def policy() -> str:
    """Return the content security policy: these scripts run, and nothing is fetched from anywhere.

    Styles within are allowed, since charts set those of their elements.
    """
    sums = (hashlib.sha256(text.encode()).digest() for text in scripts())
    allowed = " ".join(f"'sha256-{base64.b64encode(one).decode()}'" for one in sums)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
