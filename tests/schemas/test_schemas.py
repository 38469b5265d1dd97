"""What the data means: records, masks, steps, recipes and their identity, descriptions."""

from __future__ import annotations

import dataclasses
import io
import json
import string
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from stores import describe

from rgtool.schemas.blocks import GROUPINGS, Layer, architecture, groupings, with_width
from rgtool.schemas.errors import RecordError, RgtoolError, UsageError, did_you_mean
from rgtool.schemas.files import write_atomic
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records import record, views
from rgtool.schemas.records.description import Description
from rgtool.schemas.records.layout import RunFolder, record_level
from rgtool.schemas.steps import Step
from rgtool.schemas.tensors.safetensors import read_mask, read_tensors, write_mask, write_tensors

# tmp_path is shared by the examples of one test; every example overwrites its own file.
files = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
names = st.text(string.ascii_lowercase + string.digits + ".-", min_size=1, max_size=12)
shapes = hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=7)
dtypes = st.sampled_from(["f4", "f8", "f2", "i8", "i4", "i2", "i1", "u1", "?"]).map(np.dtype)
arrays = dtypes.flatmap(lambda dtype: hnp.arrays(dtype, st.one_of(shapes, st.just(()))))


# Block maps.


@pytest.mark.parametrize(
    ("name", "total"),
    [
        ("resnet14", 174128),
        ("resnet20", 270896),
        ("resnet32", 464432),
        ("resnet44", 657968),
        ("resnet56", 851504),
        ("lenet", 266200),
        ("vgg16", 14710464),
    ],
)
def test_totals_of_the_published_networks(name: str, total: int) -> None:
    network = architecture(name)
    assert sum(layer.total for layer in network.counted()) == total


def test_resnet50_by_stage() -> None:
    layers = architecture("resnet50").counted()
    totals = [sum(x.total for x in layers if x.stage == stage) for stage in "1234"]
    assert totals == [212992, 1212416, 7077888, 14942208]
    shares = np.array(totals) / sum(totals)
    assert shares == pytest.approx([0.009085, 0.051712, 0.301887, 0.637317], abs=5e-7)


@pytest.mark.parametrize(
    "name", ["resnet8w4", "resnet20", "resnet110", "resnet18", "vgg16", "lenet"]
)
def test_every_layer_has_one_name_and_one_group_in_every_grouping(name: str) -> None:
    network = architecture(name)
    assert len({layer.name for layer in network.layers}) == len(network.layers)
    found = groupings(network.layers)
    for by in found:
        assert all(layer.group(by) for layer in network.layers)
    assert found == {
        "lenet": ("layer", "block"), "vgg16": ("layer", "block", "stage")
    }.get(name, GROUPINGS)  # fmt: skip


def test_widths() -> None:
    assert architecture("resnet20w16").name == "resnet20"
    assert with_width("resnet20w16", None) == "resnet20"
    with pytest.raises(UsageError, match="not with 'resnet50'"):
        with_width("resnet50", 8)


@pytest.mark.parametrize("name", ["resnet21", "resnet2", "lenett", "", "vgg", "resnet20w0"])
def test_unknown_architectures_are_refused_with_a_hint(name: str) -> None:
    with pytest.raises(UsageError, match="unknown"):
        architecture(name)


def test_near_names_are_offered() -> None:
    assert did_you_mean("resnet2O", ["resnet20", "mlp"]) == "did you mean resnet20?"
    assert did_you_mean("zzz", ["b", "a"]) == "choose from a, b"


# Recipes and identity.


def test_the_identity_of_a_recipe_is_frozen() -> None:
    assert Recipe(architecture="resnet20", task="cifar10").experiment_id == "fc91548504e2"


def test_a_new_field_with_a_default_moves_no_identity() -> None:
    extended = dataclasses.make_dataclass(
        "Extended",
        [("brand_new", str, dataclasses.field(default="as before"))],
        bases=(Recipe,),
        frozen=True,
        kw_only=True,
    )
    for fields in ({}, {"lr": 0.2}, {"rewind": "2ep", "milestones": ("40ep",)}):
        values = {"architecture": "resnet20", "task": "cifar10", **fields}
        assert extended(**values).experiment_id == Recipe(**values).experiment_id
        assert extended(**values, brand_new="x").experiment_id != Recipe(**values).experiment_id


def test_every_field_moves_the_identity() -> None:
    base = Recipe(architecture="resnet20", task="cifar10")
    others = {
        "architecture": "resnet14", "task": "svhn", "train_size": 100, "init": "x",
        "fan": "fan_out", "bn_init": "x", "optimizer": "x", "lr": 0.2, "momentum": 0.0,
        "weight_decay": 0.0, "epochs": 3, "milestones": (), "gamma": 0.5, "batch_size": 64,
        "augment": (), "prune": 0.5, "pruner": "random", "scope": "layerwise",
        "rounding": "openlth",
        "prunable": "convolutions", "exempt": ("fc",), "rewind": "0", "control": "reinit",
        "precision": "bfloat16", "parent": "x", "transform": "x", "origin": "x",
        "valid_size": 5, "pretrained": "x", "head_init": "torch", "warmup": "1ep",
        "drop_last": True, "schedule": "restart", "pooling": "average", "length": "50it",
        "fresh": ("fc",), "start": 0, "score_at": "rewind", "score_steps": 2, "score_images": 100,
        "score_mode": "train", "score_from": "dense",
    }  # fmt: skip
    also = {"length": {"epochs": None}}
    assert set(others) == {field.name for field in dataclasses.fields(Recipe)}
    ids = {
        dataclasses.replace(base, **{name: value, **also.get(name, {})}).experiment_id
        for name, value in others.items()
    }
    assert len(ids | {base.experiment_id}) == len(others) + 1


def test_spellings_of_one_point_are_one_experiment() -> None:
    first = Recipe(architecture="a", task="b", rewind="0", milestones=("2ep0it",))
    assert first == Recipe(architecture="a", task="b", rewind="0it", milestones=("2ep",))


@pytest.mark.parametrize(
    ("said", "epochs", "length"),
    [("20it", None, "20it"), ("2ep0005it", None, "2ep5it"), ("160ep", 160, None)],
)
def test_a_length_stands_for_epochs_that_are_not_whole(
    said: str, epochs: int | None, length: str | None
) -> None:
    found = Recipe(architecture="a", task="b", epochs=None, length=said)
    assert (found.epochs, found.length) == (epochs, length)
    assert Recipe.from_json(found.to_json()) == found
    assert "epochs" not in found.non_defaults()
    if length is None:
        assert found.whole_epochs == epochs
    else:
        with pytest.raises(UsageError, match=f"length is {length}: rgtool trains whole epochs"):
            _ = found.whole_epochs


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"length": "20it"}, "160 and 20it: one of them"),
        ({"epochs": None}, "neither tells"),
        ({"epochs": None, "length": "0ep"}, "at least 1it"),
        ({"epochs": None, "length": "0ep0it"}, "at least 1it"),
        ({"epochs": None, "length": "20"}, "no point in training"),
        ({"epochs": None, "length": 20}, "a text is needed"),
        ({"epochs": -1}, "at least 0 is needed"),
    ],
)
def test_a_training_has_one_length(fields: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Recipe.from_json({"architecture": "a", "task": "b", **fields})


def test_run_ids_tell_seeds_and_parents_apart() -> None:
    recipe = Recipe(architecture="resnet20", task="cifar10")
    assert recipe.run_id(3) == "fc91548504e2-s3"
    ids = {recipe.run_id(3), recipe.run_id(4), recipe.run_id(3, "a"), recipe.run_id(3, "b")}
    assert len(ids) == 4


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"prune": 1.5}, "prune is 1.5: .*between 0 and 1"),
        ({"prune": float("nan")}, "prune is nan"),
        ({"epochs": -1}, "epochs is -1: at least 0"),
        ({"batch_size": -1}, "batch_size is -1"),
        ({"lr": float("inf")}, "lr is inf"),
        ({"rounding": "exct"}, r"rounding 'exct' is unknown: did you mean exact\?"),
        ({"rewind": "5xx"}, "'5xx' is no point in training"),
    ],
)
def test_recipes_out_of_range_are_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Recipe(architecture="resnet20", task="cifar10", **fields)  # type: ignore[arg-type]


@given(
    lr=st.floats(1e-6, 10),
    exempt=st.lists(names, max_size=3),
    size=st.none() | st.integers(1, 2**63 - 1),
)
def test_recipes_survive_json(lr: float, exempt: list[str], size: int | None) -> None:
    recipe = Recipe(architecture="a", task="b", lr=lr, exempt=tuple(exempt), train_size=size)
    again = Recipe.from_json(json.loads(json.dumps(recipe.to_json())))
    assert again == recipe
    assert again.experiment_id == recipe.experiment_id


def test_unknown_recipe_fields_are_refused_with_a_hint() -> None:
    with pytest.raises(UsageError, match=r"'momentun' is unknown: did you mean momentum\?"):
        Recipe.from_json({"architecture": "a", "task": "b", "momentun": 0.9})


# Points in training.


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_steps_survive_being_written(epochs: int, iterations: int) -> None:
    step = Step(epochs, iterations)
    assert Step.parse(str(step)) == step
    assert step.iteration(391) == 391 * epochs + iterations


@given(st.text(max_size=8))
def test_a_step_is_read_or_refused(text: str) -> None:
    try:
        step = Step.parse(text)
    except UsageError as error:
        assert text in str(error)
    else:
        assert Step.parse(str(step)) == step


@pytest.mark.parametrize("text", ["", "5", "5xx", "-1ep", "1.5ep", "it", "ep", "5it2ep", "1e3it"])
def test_what_is_no_step(text: str) -> None:
    with pytest.raises(UsageError, match="2ep50it"):
        Step.parse(text)


# Tensors and masks, against the reference implementation.


@files
@given(tensors=st.dictionaries(names, arrays, min_size=1, max_size=4))
def test_safetensors_reads_what_we_write(tmp_path: Path, tensors: dict[str, np.ndarray]) -> None:
    write_tensors(tmp_path / "t", tensors, {"a": "b"})
    same(safetensors.numpy.load_file(tmp_path / "t"), tensors)


@files
@given(tensors=st.dictionaries(names, arrays, min_size=1, max_size=4))
def test_we_read_what_safetensors_writes(tmp_path: Path, tensors: dict[str, np.ndarray]) -> None:
    safetensors.numpy.save_file(tensors, tmp_path / "t", metadata={"a": "b"})
    found, metadata = read_tensors(tmp_path / "t")
    same(found, tensors)
    assert metadata == {"a": "b"}


def same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()


def test_strided_and_big_endian_arrays_are_written_as_values(tmp_path: Path) -> None:
    array = np.arange(12, dtype=">f4").reshape(3, 4).T
    write_tensors(tmp_path / "t", {"a": array})
    assert (safetensors.numpy.load_file(tmp_path / "t")["a"] == array).all()


@files
@given(
    mask=st.dictionaries(
        names,
        hnp.arrays(np.bool_, hnp.array_shapes(max_dims=4, max_side=9)),
        min_size=1,
        max_size=4,
    )
)
def test_masks_survive_at_a_bit_a_weight(tmp_path: Path, mask: dict[str, np.ndarray]) -> None:
    write_mask(tmp_path / "m", mask)
    same(read_mask(tmp_path / "m"), mask)
    stored = safetensors.numpy.load_file(tmp_path / "m")
    assert {name: array.size for name, array in stored.items()} == {
        name: -(-array.size // 8) for name, array in mask.items()
    }


@files
@given(cut=st.integers(0, 10**6), data=st.data())
def test_damaged_tensor_files_are_refused(tmp_path: Path, cut: int, data: st.DataObject) -> None:
    mask = {"a": np.ones((5, 5), np.bool_), "b": np.zeros(9, np.bool_)}
    write_mask(tmp_path / "m", mask)
    whole = (tmp_path / "m").read_bytes()
    (tmp_path / "m").write_bytes(whole[: cut % len(whole)])
    with pytest.raises(RecordError, match="not a whole safetensors file|the sum differs"):
        read_mask(tmp_path / "m")
    changed = bytearray(whole)
    changed[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    (tmp_path / "m").write_bytes(changed)
    try:  # what spoils the place of the sum leaves a file without one
        same(read_mask(tmp_path / "m"), mask)
    except RgtoolError as error:
        assert str(tmp_path) in str(error)


def test_tensors_that_are_no_mask_are_refused(tmp_path: Path) -> None:
    write_tensors(tmp_path / "t", {"a": np.zeros(3)})
    with pytest.raises(RecordError, match="holds no mask"):
        read_mask(tmp_path / "t")


# Records.


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    layers = draw(st.lists(names, min_size=1, max_size=5, unique=True))
    made = [
        Layer(
            name,
            "conv",
            draw(hnp.array_shapes(max_dims=4, max_side=6)),
            f"b{i}",
            draw(st.none() | st.just("1")),
        )
        for i, name in enumerate(layers)
    ]
    before = np.array([draw(st.integers(0, layer.total)) for layer in made])
    kept = np.array([draw(st.integers(0, int(count))) for count in before])
    weights = draw(st.none() | hnp.arrays(np.float64, len(made), elements=st.floats(0, 1e9)))
    level = draw(st.integers(0, 10**6))
    return record.build_record(
        draw(names),
        level,
        made,
        kept,
        kept_prev=before if level else None,
        magnitude=weights,
        exempt=layers[:1],
        source_layers=draw(st.none() | st.just(layers)),
        numbers={"accuracy": draw(st.none() | st.floats(0, 1)), "diverged": draw(st.booleans())},
    )


@files
@given(table=tables())
def test_records_survive_being_written(tmp_path: Path, table: pa.Table) -> None:
    path = tmp_path / "r.parquet"
    record.write_record(path, table)
    again = record.read_record(path)
    assert again.equals(table)
    assert again.schema.equals(record.arrow_schema())


def sound() -> dict[str, list[object]]:
    layers = architecture("resnet8w4").counted()
    total = np.array([layer.total for layer in layers])
    return record.build_record("r", 1, layers, total // 2, kept_prev=total).to_pydict()


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("kept", 10**9, "keeps more weights than it has"),
        ("kept", -1, "negative"),
        ("kept_prev", 0, "network_kept_prev is"),
        ("network_kept", 7, "'network_kept' differs between the rows"),
        ("level", 7, "'level' differs between the rows"),
        ("run_id", "other", "'run_id' differs between the rows"),
        ("total", 10**9, "network_total is"),
        ("layer", None, "'layer' has missing values"),
        ("version", record.VERSION + 1, "newer rgtool.*upgrade"),
    ],
)
def test_contradictions_are_found(column: str, value: object, words: str) -> None:
    data = sound()
    data[column][0] = value
    schema = pa.schema([field.with_nullable(True) for field in record.arrow_schema()])
    with pytest.raises(RecordError, match=f"somewhere: .*{words}"):
        record.validate(pa.table(data, schema=schema), "somewhere")


def test_numbers_that_are_no_column_are_refused() -> None:
    layers = architecture("lenet").counted()
    kept = np.array([layer.total for layer in layers])
    with pytest.raises(RecordError, match="no column of the record: acuracy"):
        record.build_record("r", 0, layers, kept, numbers={"acuracy": 1.0})


def test_a_missing_record_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="none.parquet: not a readable"):
        record.read_record(tmp_path / "none.parquet")


def test_foreign_column_orders_and_widths_are_read(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    data = sound()
    table = pa.table(dict(reversed(data.items())))  # inferred types, reversed order
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    write_atomic(tmp_path / "r", buffer.getvalue())
    assert record.read_record(tmp_path / "r").to_pydict() == data


OPTIONAL = [
    "source_layer", "stage", "kept_prev", "magnitude", "magnitude_prev", "network_kept_prev",
    "accuracy", "loss", "train_accuracy", "train_loss", "validation_accuracy", "validation_loss",
    "wall_seconds", "images_per_second", "peak_memory",
]  # fmt: skip


def test_what_a_source_cannot_tell_may_be_missing_and_nothing_else() -> None:
    assert [field.name for field in record.arrow_schema() if field.nullable] == OPTIONAL
    layers = architecture("lenet").counted()  # without stages
    kept = np.array([layer.total for layer in layers])
    table = record.build_record("r", 0, layers, kept)
    empty = [name for name in table.column_names if table[name].null_count == len(layers)]
    assert empty == OPTIONAL
    assert all(table[name].null_count == 0 for name in table.column_names if name not in OPTIONAL)
    assert table["diverged"].to_pylist() == [False] * 3
    loose = pa.schema([field.with_nullable(True) for field in record.arrow_schema()])
    for name in set(table.column_names) - set(OPTIONAL):
        data = sound()
        data[name][-1] = None
        with pytest.raises(RecordError, match=f"somewhere: '{name}' has missing values"):
            record.validate(pa.table(data, schema=loose), "somewhere")


def test_columns_by_part_and_by_what_depends_on_the_machine() -> None:
    assert record.columns("key") == ["version", "run_id", "level"]
    measured = ["wall_seconds", "images_per_second", "peak_memory"]
    assert record.columns("key", "layer", "level", measured=True) == measured
    assert record.columns("level", measured=False) == [
        "network_total", "network_kept", "network_kept_prev", "accuracy", "loss", "train_accuracy",
        "train_loss", "validation_accuracy", "validation_loss", "diverged",
    ]  # fmt: skip
    assert record.columns("level") == [*record.columns("level", measured=False), *measured]
    # What is measured may differ between rows: records of two machines are compared without it.
    data = sound()
    data["wall_seconds"] = [float(i) for i in range(len(data["level"]))]
    record.validate(pa.table(data, schema=record.arrow_schema()), "here")


def test_a_record_holds_what_it_was_built_from() -> None:
    layers = architecture("lenet").counted()
    total = np.array([layer.total for layer in layers])
    kept, before = total // 4, total // 2
    numbers = {"accuracy": 0.9, "wall_seconds": 2.5, "peak_memory": 7, "diverged": True}
    table = record.build_record(
        "r", 3, layers, kept, kept_prev=before, magnitude=kept * 0.5, magnitude_prev=before * 0.25,
        exempt=("fc",), source_layers=["a", "b", "c"], numbers=numbers,
    )  # fmt: skip
    found = table.to_pydict()
    assert found["version"] == [1] * 3 and found["level"] == [3] * 3
    assert found["layer_index"] == [0, 1, 2] and found["source_layer"] == ["a", "b", "c"]
    assert found["total"] == total.tolist() and found["exempt"] == [False, False, True]
    assert found["kept"] == kept.tolist() and found["kept_prev"] == before.tolist()
    assert found["magnitude"] == (kept * 0.5).tolist()
    assert found["magnitude_prev"] == (before * 0.25).tolist()
    sums = [("network_total", total), ("network_kept", kept), ("network_kept_prev", before)]
    for name, values in sums:
        assert found[name] == [int(values.sum())] * 3
    for name, value in numbers.items():
        assert found[name] == [value] * 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda t: t.drop_columns("version"),
            "not a record of rgtool, column 'version' is missing",
        ),
        (lambda t: t.drop_columns("kept"), "not a record .* 'kept' is missing"),
        (lambda t: t.slice(0, 0), "a record without rows"),
        (lambda t: _with(t, "version", pa.array(["new"] * len(t))), "Failed to parse string"),
        (lambda t: _with(t, "version", pa.nulls(len(t), pa.int16())), "'version' has missing"),
        (lambda t: _with(t, "total", pa.array([2**70 * 1.0] * len(t))), "somewhere: "),
    ],
)
def test_tables_that_are_no_record_are_refused(
    change: Callable[[pa.Table], pa.Table], words: str
) -> None:
    with pytest.raises(RecordError, match=words):
        record.validate(change(pa.table(sound(), schema=record.arrow_schema())), "somewhere")


def _with(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


def test_counts_may_reach_their_bounds() -> None:
    layers = architecture("lenet").counted()
    total = np.array([layer.total for layer in layers])
    for kept in (total, np.zeros(3, np.int64)):
        table = record.build_record("r", 1, layers, kept, kept_prev=kept)
        assert table["kept"].to_pylist() == kept.tolist()


# Descriptions, files, folders.


def test_descriptions_survive_being_written(tmp_path: Path) -> None:
    made = describe(
        Recipe(architecture="lenet", task="digits", exempt=("fc",)), None, 4,
        files=({"path": "a", "sha256": "b"},), inferred={"seed": "unknown"},
        scales={"init": {"fc": 0.1}}, machine={"threads": 1}, parent_run="p", source="openlth",
    )  # fmt: skip
    made.write(tmp_path / "run.json")
    assert Description.read(tmp_path / "run.json") == made


def test_the_views_know_every_key_of_a_description_and_every_column_of_a_record() -> None:
    keys = {field.name for field in dataclasses.fields(Description)} | {"version"}
    assert set(views.description_json_columns()) == keys
    recipe = {field.name for field in dataclasses.fields(Recipe)}
    assert set(views.description_columns()) == keys - {"recipe"} | recipe
    assert list(views.record_columns()) == record.arrow_schema().names
    assert set(views.defaults()) == recipe


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", b"old")
    with pytest.raises(TypeError):
        write_atomic(tmp_path / "a", "text")  # type: ignore[arg-type]
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"old")]


def test_levels_beyond_four_digits_sort_as_numbers(tmp_path: Path) -> None:
    folder = RunFolder.of(tmp_path, "r")
    folder.make()
    for level in (10000, 9999, 2):
        folder.record(level).touch()
    (folder.path / "records" / ".0001.parquet.9.part").touch()
    assert folder.recorded_levels() == [2, 9999, 10000]
    assert [record_level(name) for name in ("0001.parquet", "1.parquet", "x")] == [1, None, None]
