"""The option --plot: the same words in every command that has it."""

from pathlib import Path

import pytest

from rgtool.cli import main
from rgtool.cli.analyse.figure import check_figure, draw_figure, is_figure, write_figure
from rgtool.schemas.errors import RgtoolError, UsageError

R56, R32 = "published:resnet56-cifar10", "published:resnet32-cifar10"


def figure():
    from rgtool.analysis.plots.style import new_figure

    return new_figure(1, 1, (1.0, 1.0))[0]


@pytest.mark.parametrize(
    "command",
    [
        ["gamma", "published:renda2020-resnet20"],
        ["collapse", "curves.csv"],
        ["match", R56, R32],
        ["classify", "--published"],
        ["scheme"],
    ],
    ids=lambda command: command[0],
)
def test_a_wrong_suffix_is_told_before_anything_else(command, capsys):
    with pytest.raises(SystemExit) as left:
        main([*command, "--plot", "x.gif"])
    told = capsys.readouterr()
    assert (left.value.code, told.out) == (2, "")
    assert told.err == "rgtool: --plot x.gif: a figure ends in .png, .svg or .pdf\n"


def test_the_suffix_may_be_in_capitals():
    assert is_figure(Path("a.PNG")) and not is_figure(Path("a.gif")) and not is_figure(Path("png"))
    check_figure(Path("a.PNG"))
    check_figure(None)
    with pytest.raises(UsageError, match=r"--plot figures: a figure ends in"):
        check_figure(Path("figures"))


def test_a_figure_is_drawn_where_one_is_asked_for(tmp_path: Path, capsys):
    draw_figure(None, lambda: pytest.fail("drawn without need"))
    path = tmp_path / "new" / "folder" / "x.png"
    draw_figure(path, figure)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().err == f"drawn: {path}\n"


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RgtoolError, match="its folder cannot be made"):
        write_figure(figure(), tmp_path / "file" / "x.png")
