"""The application: its commands, and what becomes of their errors."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Annotated

import typer

from ..schemas.errors import RgtoolError
from .analyse.classify import classify
from .analyse.collapse import collapse
from .analyse.compare import compare
from .analyse.eigen import eigen
from .analyse.forecast import forecast
from .analyse.gamma import gamma
from .analyse.match import match
from .analyse.meta import meta
from .analyse.null import null
from .analyse.plot import plot
from .analyse.power import power
from .analyse.predict import predict
from .analyse.report import report
from .analyse.scheme import scheme
from .analyse.score import score
from .analyse.verify import verify
from .run.bench import bench
from .run.datasets import datasets
from .run.demo import demo
from .run.models import models
from .run.recipes import recipes
from .run.run import run
from .run.status import status
from .run.watch import watch
from .store.compact import compact
from .store.diff import diff
from .store.doctor import doctor
from .store.import_ import import_
from .store.ls import ls
from .store.merge import merge
from .store.name import name
from .store.rm import rm
from .store.show import show
from .store.sql import sql
from .study.intervene import intervene
from .study.response import response
from .study.stretch import stretch
from .study.transfer import transfer
from .terminal import CLOSED, OutputClosed, abandon, flush, prepare_streams, say

INTERRUPTED = 130  # 128 + SIGINT: what typer makes of Ctrl-C

app = typer.Typer(
    name="rgtool",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

COMMANDS = {
    "Run": (run, watch, status, models, datasets, recipes, bench, demo),
    "Store": (import_, ls, show, name, diff, sql, merge, rm, compact, doctor),
    "Analyse": (
        eigen, scheme, null, power, plot, report,
        classify, compare, meta, predict, score, match,
        gamma, collapse, forecast, verify,
    ),
    "Study": (transfer, stretch, intervene, response),
}  # fmt: skip
for group, commands in COMMANDS.items():
    for command in commands:
        verb = command.__name__.rstrip("_")  # `import` is no name in Python
        app.command(verb, rich_help_panel=group)(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        print(f"rgtool {__version__}")
        raise typer.Exit


@app.callback()
def callback(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Version.")
    ] = False,
) -> None:
    """Measure iterative magnitude pruning as a renormalization-group flow."""


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit: 0 done, 1 failed, 2 wrong usage, 3 partly done, 130 on Ctrl-C.

    Expected errors become one or two lines on standard error; a traceback is a bug of rgtool. Where
    the reader of standard output has gone the command ends without a word, with 141.
    """
    prepare_streams()
    try:
        code = _invoke(arguments)
        flush()
    except OutputClosed:
        code = CLOSED
    except KeyboardInterrupt:
        code = INTERRUPTED
    except RgtoolError as error:
        first, *more = error.lines
        say(f"rgtool: {first}")
        for line in more:
            say(line)
        code = error.exit_code
    except OSError as error:  # of the help, which writes by itself
        abandon()
        say(f"rgtool: {error.filename or 'standard output'}: {error.strerror or error}")
        code = 1
    except RuntimeError as error:
        if str(error) != "Query interrupted":  # what DuckDB makes of Ctrl-C in the main thread
            raise
        code = INTERRUPTED
    except MemoryError:
        say("rgtool: memory does not suffice")
        code = 1
    if code == INTERRUPTED:
        say("rgtool: aborted")
    sys.exit(code)


def _invoke(arguments: list[str] | None) -> int:
    try:
        code = app(arguments, prog_name="rgtool", standalone_mode=False)
    except typer.TyperException as error:
        if message := _message(error):  # none where the help was all that was asked for
            say(f"rgtool: {message}")
        return getattr(error, "exit_code", 2)
    except typer.Abort:
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def _message(error: typer.TyperException) -> str:
    format_message = getattr(error, "format_message", None)
    text = format_message() if format_message else str(error)
    if not text:
        return ""
    if text.startswith("No such command 'published'"):
        return f"{text.rstrip('.')}; rgtool ls --published lists the literature"
    context = getattr(error, "ctx", None)
    takes = [] if context is None else [one.name for one in context.command.params]
    if "unexpected extra argument" in text:
        text = f"{text.rstrip('.')}{_one_argument(takes)}"
    hint = f"; see {context.command_path} --help" if context is not None else ""
    return f"{text.rstrip('.')}{hint}"


def _one_argument(takes: Collection[str | None]) -> str:
    """Say how what was given as an argument too many is written, of a command that takes these."""
    if "recipe" in takes:
        return "; a recipe is named by --recipe"
    if "store" in takes and {"experiment", "selection", "name", "a"} & {*takes}:
        return "; an experiment is one argument: resnet20/cifar10, 'resnet20/cifar10 prune=.36'"
    return ""
