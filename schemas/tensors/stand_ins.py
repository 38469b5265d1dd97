"""What lies where a file should be: pointers, pages, flattened links, archives still packed.

Programs that copy and download leave such things under the name of the file, and none of them is
wrong about its name. Each is told by how it begins, and said with what brings the file itself.
"""

from __future__ import annotations

from ..errors import printable

HEAD = 4096  # bytes of a file that tell: a path is no longer
_PACKED = {b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd",
           b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!": "rar"}  # fmt: skip
_PAGES = (b"<!doctype", b"<html", b"<head", b"<?xml", b"<error")
_HDF5 = b"\x89HDF\r\n\x1a\n"
_SHOWN = 60  # characters of a path


def stand_in(head: bytes) -> str | None:
    """Say what a file is that only stands for another one; None where it may be the file itself.

    Parameters
    ----------
    head : bytes
        Its first `HEAD` bytes, or all of them where it has fewer.

    Examples
    --------
    >>> stand_in(b"../../.git/annex/objects/a")[:39]
    "the path '../../.git/annex/objects/a' a"
    """
    if not head:
        return "an empty file"
    if head.startswith(b"version https://git-lfs"):
        return "a git-lfs pointer: fetch the file itself first (git lfs pull)"
    if head.startswith(b"/annex/objects/"):
        return "a git-annex pointer: fetch the file itself first (git annex get)"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:9].lower().startswith(_PAGES):
        return (
            "a page of a server in place of the file: download it again, perhaps after logging in"
        )
    if head.startswith(_HDF5):
        return "an HDF5 file, as of Keras: save its masks with numpy.savez, a file a level"
    packed = next((name for start, name in _PACKED.items() if head.startswith(start)), None)
    if packed is not None:
        return f"packed with {packed}: unpack it first"
    if not any(head):
        return "begins with nothing but zeros: a copy that was cut short; copy it again"
    return _text(head) if len(head) < HEAD else None


def _text(head: bytes) -> str | None:
    """Say what a short text is; None for what is none, or may be a pickle, which ends in a dot."""
    try:
        text = head.decode().strip()
    except UnicodeDecodeError:
        return None
    if text.endswith(".") or not text.replace("\n", "").replace("\r", "").isprintable():
        return None
    if "/" in text and "\n" not in text and not text.startswith("{"):
        shown = text if len(text) <= _SHOWN else f"...{text[3 - _SHOWN :]}"
        return (
            f"the path '{shown}' as a text, a symbolic link that some copy has flattened: copy the "
            "file that it leads to"
        )
    return f"a text ('{printable(text[:_SHOWN])}') in place of the file: bring the file itself"
