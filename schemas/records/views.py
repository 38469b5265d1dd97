"""The SQL views of a store, generated from the record and the recipe.

The store hands in five relations: `store.records` (the columns of `record_columns`),
`store.groups` (`group_columns`: the same counts summed over blocks and stages), `store.epochs`
(`epoch_columns`), `store.descriptions` (`description_columns`) and `store.names`
(`name_columns`). It has left out what is broken or newer than this schema; everything a user
queries is defined here on top of them, the grouping `role` too, which no file holds. Casts stand
here, so that sums arrive as BIGINT and times without zone.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from ..recipe import Recipe
from ..roles import role_sql
from . import epochs, record

_DUCKDB_TYPES = {
    "string": "VARCHAR",
    "bool": "BOOLEAN",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "float64": "DOUBLE",
    "timestamp": "TIMESTAMP",
    "list<int32>": "INTEGER[]",
}
_RECIPE_TYPES = {
    "str": "VARCHAR",
    "str | None": "VARCHAR",
    "int": "BIGINT",
    "int | None": "BIGINT",
    "float": "DOUBLE",
    "bool": "BOOLEAN",
    "tuple[str, ...]": "VARCHAR[]",
}
_DESCRIPTION_TYPES = {
    "run_id": "VARCHAR",
    "experiment_id": "VARCHAR",
    "recipe_name": "VARCHAR",
    "seed": "BIGINT",
    "replicate": "VARCHAR",
    "levels": "INTEGER",
    "source": "VARCHAR",
    "parent_run": "VARCHAR",
    "created_at": "TIMESTAMP",
    "updated_at": "TIMESTAMP",
    "scales": "JSON",
    "versions": "JSON",
    "machine": "JSON",
    "history": "JSON",
    "files": "JSON",
    "inferred": "JSON",
    "told": "VARCHAR[]",
    "aliases": "JSON",
    "mask_digests": "JSON",
    "former": "VARCHAR[]",
}
# Of the run, repeated in every row: a query over all experiments then needs no join.
RUN_COLUMNS = ("experiment_id", "architecture", "task", "seed")
_NETWORK = ("network_total", "network_kept", "network_kept_prev")


def record_columns() -> dict[str, str]:
    """Map every column of the record to its DuckDB type, in schema order."""
    return {c.name: _DUCKDB_TYPES[c.type] for c in record.COLUMNS}


def epoch_columns() -> dict[str, str]:
    """Map every column of `store.epochs` to its DuckDB type."""
    return {c.name: _DUCKDB_TYPES[c.type] for c in epochs.COLUMNS}


def epoch_select(lines: str) -> str:
    """Return SQL of the epochs that lines of JSON tell; what is torn or of another run is not.

    It reads what `Epoch.parse` reads; of two lines of one epoch the last, as `read_epochs` does.

    Parameters
    ----------
    lines : str
        A relation of texts, `line`, in their order, and of the paths of their files, `filename`.
    """
    # Values are looked at as texts of JSON: a cast takes "1", 1.0 and true for the number 1.
    struct = ", ".join(
        f'"{name}" {type_ if type_ == "VARCHAR" else "JSON"}'
        for name, type_ in epoch_columns().items()
    )
    parsed = f"TRY_CAST(TRY_CAST(line AS JSON) AS STRUCT({struct})) AS epoch"
    read = f"SELECT {parsed}, filename, row_number() OVER () AS place FROM {lines}"
    told = ", ".join(_epoch_value(name, type_) for name, type_ in epoch_columns().items())
    values = (
        f"SELECT {told}, filename, place FROM (SELECT unnest(epoch), filename, place FROM ({read}))"
    )
    counts = f"level >= {epochs.PRETRAINING} AND epoch >= 1"
    own = f"FROM ({values}) WHERE run_id = split_part(filename, '/', -2) AND {counts}"
    last = "row_number() OVER (PARTITION BY run_id, level, epoch ORDER BY place DESC) = 1"
    return f"SELECT {', '.join(epoch_columns())} FROM (SELECT * {own} QUALIFY {last}) WHERE true"


def _epoch_value(name: str, type_: str) -> str:
    """Return SQL of a value of an epoch, of its text in JSON; null where it is none."""
    text = f"CAST({name} AS VARCHAR)"
    if type_ == "INTEGER":
        whole = f"regexp_full_match({text}, '-?[0-9]+')"
        return f"CASE WHEN {whole} THEN TRY_CAST({text} AS INTEGER) END AS {name}"
    if type_ == "DOUBLE":  # no finite number is left where JSON has NaN, as some programs write it
        number = f"TRY_CAST({text} AS DOUBLE)"
        return f"CASE WHEN isfinite({number}) THEN {number} END AS {name}"
    if type_ == "TIMESTAMP":  # whose cast passes over the zone
        time = f"json_extract_string({name}, '$')"
        zoned = f"{time} || CASE WHEN regexp_matches({time}, '(Z|[+-]..:..)$') THEN '' ELSE 'Z' END"
        utc = f"make_timestamp(epoch_us(TRY_CAST({zoned} AS TIMESTAMPTZ)))"
        is_time = f"regexp_full_match({time}, '{epochs.TIME}')"
        years = "BETWEEN TIMESTAMP '0001-01-01' AND TIMESTAMP '9999-12-31 23:59:59.999999'"
        return f"CASE WHEN {is_time} AND {utc} {years} THEN {utc} END AS {name}"
    return name


def run_columns() -> dict[str, str]:
    """Map what is repeated of the run in every row to its DuckDB type."""
    types = description_columns()
    return {name: types[name] for name in RUN_COLUMNS}


def group_columns() -> dict[str, str]:
    """Map every column of `store.groups` to its DuckDB type."""
    counts = dict.fromkeys(("total", "kept", "kept_prev", *_NETWORK), "BIGINT")
    key = {"grouping": "VARCHAR", "run_id": "VARCHAR", "level": "INTEGER", "name": "VARCHAR"}
    return {**key, **counts, **run_columns()}


def name_columns() -> dict[str, str]:
    """Map every column of `store.names` to its DuckDB type: ids, and what people call them."""
    return {"id": "VARCHAR", "name": "VARCHAR", "note": "VARCHAR", "tags": "VARCHAR[]"}


def grouped(source: str) -> str:
    """Return SQL that sums records over blocks and stages, in the order of `group_columns`.

    Parameters
    ----------
    source : str
        A relation of the columns of the record and `RUN_COLUMNS`.
    """
    return " UNION ALL ".join(
        f"{_summed(by, by)} FROM {source} WHERE {by} IS NOT NULL GROUP BY run_id, level, {by}"
        for by in ("block", "stage")
    )


def _summed(grouping: str, name: str, *others: str) -> str:
    """Return the SELECT that sums over groups called `name`, in the order of `group_columns`."""
    repeated = (f"any_value({column}) AS {column}" for column in (*_NETWORK, *RUN_COLUMNS))
    sums = (f"sum({count})::BIGINT AS {count}" for count in ("total", "kept", "kept_prev"))
    key = f"'{grouping}' AS grouping, run_id, level, {name} AS name"
    return f"SELECT {', '.join([key, *sums, *repeated, *others])}"


def _roles() -> str:
    """Return SQL of the counts by role, of networks in which every layer has one."""
    told = f"(SELECT *, {role_sql('layer', 'block')} AS role FROM store.records)"
    whole = "bool_and(role IS NOT NULL) OVER (PARTITION BY run_id, level) AS whole"
    summed = f"{_summed('role', 'role', whole)} FROM {told} GROUP BY run_id, level, role"
    return f"SELECT {', '.join(group_columns())} FROM ({summed}) WHERE whole"


def description_json_columns() -> dict[str, str]:
    """Map the keys of `run.json` to DuckDB types, as `read_json(columns=...)` wants them."""
    fields = ", ".join(f'"{f.name}" {_RECIPE_TYPES[str(f.type)]}' for f in _recipe_fields())
    return {"version": "INTEGER", **_DESCRIPTION_TYPES, "recipe": f"STRUCT({fields})"}


def description_columns() -> dict[str, str]:
    """Map every column of `runs` to its DuckDB type: the description with the recipe unfolded."""
    recipe = {f.name: _RECIPE_TYPES[str(f.type)] for f in _recipe_fields()}
    return {"version": "INTEGER", **_DESCRIPTION_TYPES, **recipe}


def description_select(source: str, *others: str) -> str:
    """Return SQL that unfolds a relation of `description_json_columns` into the columns of `runs`.

    A recipe field that an older description lacks takes its frozen default. Epochs are null where
    `length` tells how long training is.

    Parameters
    ----------
    source : str
        The relation.
    *others : str
        Further columns of it to keep.
    """
    plain = ", ".join(f'"{name}"' for name in ("version", *_DESCRIPTION_TYPES))
    values = {name: f'coalesce(recipe."{name}", {value})' for name, value in defaults().items()}
    values["epochs"] = f'CASE WHEN recipe."length" IS NULL THEN {values["epochs"]} END'
    recipe = ", ".join(f'{value} AS "{name}"' for name, value in values.items())
    return f"SELECT {', '.join([plain, recipe, *others])} FROM {source}"


def defaults() -> dict[str, str]:
    """Map the recipe's fields to their frozen defaults, as SQL."""
    return {f.name: _literal(f.default) for f in _recipe_fields()}


def empty(columns: dict[str, str]) -> str:
    """Return SQL for a relation of these columns without rows."""
    nulls = ", ".join(f'NULL::{type_} AS "{name}"' for name, type_ in columns.items())
    return f"SELECT {nulls} WHERE false"


def views() -> dict[str, str]:
    """Map the name of every view to its SELECT, in the order in which they must be created.

    The relations of the store must exist.
    """
    layer = ", ".join(f'"{name}"' for name in record.columns("layer"))
    level = ", ".join(f'"{name}"' for name in record.columns("level"))
    return {
        "runs": _runs(),
        "layers": f"SELECT run_id, level, {layer} FROM store.records",
        "levels": (
            f"SELECT run_id, level, network_kept / network_total AS density, {level} "
            f"FROM store.records WHERE layer_index = 0"
        ),
        "flow": _flow(),
        "epochs": _epochs(),
    }


def _epochs() -> str:
    run, told = (
        ", ".join(RUN_COLUMNS),
        ", ".join(name for name in epoch_columns() if name != "run_id"),
    )
    runs = f"(SELECT run_id, {run} FROM store.descriptions)"
    return f"SELECT run_id, {run}, {told} FROM store.epochs JOIN {runs} USING (run_id)"


def _runs() -> str:
    # What is called by an id that no experiment bears any more is the one that its runs are of.
    return """
    WITH borne AS (SELECT DISTINCT experiment_id, former FROM store.descriptions),
    ids AS (
        SELECT experiment_id, experiment_id AS id, 0 AS age FROM borne
        UNION ALL
        SELECT experiment_id, unnest(list_reverse(former)), unnest(range(1, len(former) + 1))
        FROM borne
    ),
    named AS (
        SELECT experiment_id, arg_min(name, age) AS name, arg_min(note, age) AS note,
               list_sort(list_distinct(flatten(list(tags)))) AS tags
        FROM ids JOIN store.names USING (id)
        WHERE age = 0 OR id NOT IN (SELECT experiment_id FROM borne)
        GROUP BY experiment_id
    )
    SELECT told.* EXCLUDE (version), named.name AS experiment_name,
           named.note AS experiment_note, named.tags AS experiment_tags,
           own.name AS run_name, own.note AS run_note, own.tags AS run_tags
    FROM store.descriptions AS told LEFT JOIN named USING (experiment_id)
         LEFT JOIN store.names AS own ON own.id = told.run_id"""


def _flow() -> str:
    columns = ", ".join(group_columns())
    layers = columns.replace("grouping", "'layer' AS grouping").replace("name", "layer AS name")
    # The step n-1 -> n of eq. 13 and lambda_i = M_i(n) / M_i(n-1); nullif turns every zero
    # denominator into null, where DuckDB would give inf or NaN.
    return f"""
    WITH counts AS (
        SELECT {layers} FROM store.records UNION ALL SELECT {columns} FROM store.groups
        UNION ALL {_roles()}
    ),
    shares AS (
        SELECT *, network_kept / network_total AS density,
               kept / nullif(network_kept, 0) AS share,
               kept_prev / nullif(network_kept_prev, 0) AS share_prev,
               network_kept / nullif(network_kept_prev, 0) AS retention
        FROM counts
    ),
    steps AS (SELECT *, share / nullif(share_prev, 0) AS eigenvalue FROM shares)
    SELECT run_id, experiment_id, architecture, task, seed, grouping, name, level, density, total,
           kept, kept_prev, share, share_prev, retention, eigenvalue,
           ln(nullif(eigenvalue, 0)) / nullif(-ln(nullif(retention, 0)), 0) AS exponent
    FROM steps"""


def _recipe_fields() -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(Recipe)


def _literal(value: Any) -> str:
    if value is None or value is dataclasses.MISSING:
        return "NULL"
    if isinstance(value, tuple):
        return "[" + ", ".join(_literal(item) for item in value) + "]::VARCHAR[]"
    return f"'{value}'" if isinstance(value, str) else repr(value)
