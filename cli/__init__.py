"""The command line: parse, call the library, print."""

import sys

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit, see `rgtool.cli.app.main`; Ctrl-C ends it while it loads, too."""
    try:
        from .app import main as run
    except KeyboardInterrupt:
        print("rgtool: aborted", file=sys.stderr)
        sys.exit(130)
    run(arguments)
