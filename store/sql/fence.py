"""What a user's SQL may be, and how its errors read."""

from __future__ import annotations

import re

import duckdb

from ...schemas.errors import QueryError, did_you_mean
from ...schemas.published import PUBLISHED
from .session import VIEWS

_READS = (duckdb.StatementType.SELECT, duckdb.StatementType.MULTI)  # MULTI: PIVOT
_WRAPPED = "SELECT * FROM (\n{}\n)"


def fenced(query: str, connection: duckdb.DuckDBPyConnection) -> str:
    """Return the one SELECT that a user's query becomes.

    A query stands in parentheses: what writes, attaches or installs is no table expression there.

    Parameters
    ----------
    query : str
        As the user wrote it.
    connection : duckdb.DuckDBPyConnection
        Any; its parser is used.

    Raises
    ------
    QueryError
        The query is no text, empty, holds two statements, writes, or does not parse.

    Examples
    --------
    >>> fenced("SELECT 1;", duckdb.connect()).splitlines()
    ['SELECT * FROM (', 'SELECT 1', ')']
    """
    try:
        query.encode()
    except UnicodeEncodeError:
        raise QueryError("the query is not UTF-8 text") from None
    try:
        statements = connection.extract_statements(query)
    except duckdb.Error as error:
        raise QueryError(*explain(error, query)) from None
    if not statements:
        raise QueryError('the query is empty: try "SELECT * FROM runs"')
    if len(statements) > 1:
        raise QueryError(f"the query holds {len(statements)} statements: give one at a time")
    statement = statements[0]
    if statement.type not in _READS:
        raise QueryError(
            f"{statement.type.name} is not allowed: the store is only read here, with SELECT, "
            "FROM, WITH, PIVOT, DESCRIBE or SUMMARIZE"
        )
    return _WRAPPED.format(_without_semicolon(statement.query))


def explain(error: duckdb.Error, query: str) -> tuple[str, ...]:
    """Say in one or two lines what DuckDB says about a user's query.

    Parameters
    ----------
    error : duckdb.Error
        Its message may point into the query as it was wrapped by `fenced`.
    query : str
        The query as the user wrote it.

    Returns
    -------
    tuple of str
        The lines.
    """
    lines = str(error).splitlines()
    message = re.sub(r"^(?:\w+ )+?(?:Error|Exception): ", "", lines[0]).rstrip("!. ")
    if match := re.search(r"Table with name (\S+) does not exist", message):
        name = match[1].strip('"')
        return (f"there is no view '{name}': {did_you_mean(name, (*VIEWS, *PUBLISHED))}",)
    if isinstance(error, duckdb.OutOfMemoryException):
        return (
            "memory, and the disk behind it, do not suffice for this query: ask for fewer rows or "
            "columns, or for sums of them",
        )
    if isinstance(error, duckdb.PermissionException):
        known = ", ".join((*VIEWS, "published_*"))
        return (f"{message}: a query reads the views of the store ({known}) alone",)
    hint = next(
        (line.strip() for line in lines[1:] if line.startswith(("Candidate b", "Did "))), ""
    )
    if match := re.fullmatch(r"Candidate bindings: (.*)", hint):
        hint = f"did you mean {_first_three(match[1])}?"
    message = f"{message}: {hint[0].lower()}{hint[1:]}" if hint else message
    return (message, *_pointer(lines, query)[:1])


def _first_three(candidates: str) -> str:
    names = [name.strip().strip('"') for name in candidates.split(",")][:3]
    return " or ".join(names)


def _pointer(lines: list[str], query: str) -> list[str]:
    """Return the place DuckDB points at as one line, `near "..."`, or nothing."""
    for line, caret in zip(lines, lines[1:], strict=False):
        match = re.match(r"LINE (\d+): ", line)
        if match and caret.strip().strip("^") == "":
            start = caret.index("^")
            rest = line[start:]
            if rest.strip() == ")" and int(match[1]) > len(query.splitlines()):
                return ["the query ends too early"]
            return [f"at: {rest[:60]}"]
    return []


def _without_semicolon(query: str) -> str:
    """Drop the semicolon that ends a statement, and what stands behind it."""
    data = query.lstrip("; \t\n").encode()  # the tokens count bytes
    for start, kind in duckdb.tokenize(data.decode()):
        if kind == duckdb.token_type.operator and data[start : start + 1] == b";":
            return data[:start].decode()
    return data.decode()
