import os
import subprocess
import sys
import warnings

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from adlx.figures import style


@pytest.mark.parametrize(
    ("ticks", "texts"),
    [
        ([64000.0, 64050.0, 64100.0], ["64,000", "64,050", "64,100"]),
        ([140.0, 142.5, 145.0], ["140.0", "142.5", "145.0"]),
        ([-0.5, 0.0, 0.5], ["\N{MINUS SIGN}0.5", "0.0", "0.5"]),
        ([1.21e11, 1.22e11], ["121 G", "122 G"]),
        ([1.95e-5, 2.0e-5], ["1.95e-5", "2.00e-5"]),
        ([0.0, 5e8, 1e9], ["0.0", "0.5 G", "1.0 G"]),
        ([7.0], ["7"]),
    ],
)
def test_ticks_have_as_many_decimals_as_needed(ticks, texts):
    assert style.NumberFormatter().format_ticks(ticks) == texts


def test_style_does_not_change_the_settings_of_the_user():
    with matplotlib.rc_context({"axes.spines.top": True, "font.size": 17.0}):
        with style.styled():
            assert matplotlib.rcParams["axes.spines.top"] is False
            assert matplotlib.rcParams["font.size"] == 9.0
        assert matplotlib.rcParams["axes.spines.top"] is True
        assert matplotlib.rcParams["font.size"] == 17.0


@pytest.mark.parametrize("name", ["$", "a$b_c^d$", r"\frac{1}{2} $\nothing$", "US$ 5 and US$ 6", "_tax^2", "$$", "%"])
def test_names_are_drawn_unchanged(name, tmp_path):
    with style.styled():
        figure = style.blank(name, 2.0)
        panel = figure.add_subplot(title=name, xlabel=name, ylabel=name)
        panel.set_xticks([0, 1], [name, name])
        panel.text(0, 0, name)
        texts = [text for text in figure.findobj(Text) if text.get_text() == name]
    assert len(texts) >= 6
    assert not any(text.get_parse_math() for text in texts)
    style.save(figure, tmp_path / "a.png")


@pytest.mark.parametrize("name", ["日本株", "🚀", "नमस्ते", "a\tb", "\u202eabc"])
def test_characters_that_the_font_lacks_give_no_warning(name, tmp_path):
    with style.styled():
        figure = style.blank(name, 2.0)
        figure.add_subplot(title=name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        style.save(figure, tmp_path / "a.png")


def test_ticks_of_a_logarithmic_axis_are_plain_text():
    with style.styled():
        figure = style.blank("t", 2.0)
        panel = figure.add_subplot(xlim=(0.0002, 3000), ylim=(2, 9))
        for axis in (panel.xaxis, panel.yaxis):
            style.set_logarithmic(axis)
        figure.draw_without_rendering()
        wide, narrow = (
            [label.get_text() for minor in (False, True) for label in axis.get_ticklabels(minor=minor)]
            for axis in (panel.xaxis, panel.yaxis)
        )
    assert {"10⁻³", "10⁰", "10³"} <= {*wide}
    assert {"2×10⁰", "6×10⁰"} <= {*narrow}
    assert not any(mark in text for text in (*wide, *narrow) for mark in "$\\{}")


def test_save_writes_a_png_of_150_dpi_and_no_other_file(tmp_path):
    path = tmp_path / "figures" / "a.png"
    with style.styled():
        figure = style.blank("title", height=2.0)
    style.save(figure, path)
    from matplotlib.image import imread

    assert imread(path).shape[:2] == (300, 1500)
    assert os.listdir(path.parent) == ["a.png"]


def test_a_failed_save_does_not_change_the_old_file(tmp_path):
    class Broken(Figure):
        def savefig(self, fname, **_):
            fname.write(b"half a picture")
            raise OSError("no space left")

    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="no space"):
        style.save(Broken(), path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.png"]


def test_all_colors_are_used_before_the_line_style_changes():
    looks = [style.model_looks(index) for index in range(18)]
    assert len(set(looks)) == 18
    assert [dash for _, dash in looks[:6]] == ["-"] * 6


def test_nothing_imports_pyplot():
    """pyplot selects a backend and keeps all figures in memory; the import of arch takes 2 s."""
    modules = "adlx.figures.forecast, adlx.figures.curves, adlx.figures.comparison, adlx.metrics.significance"
    code = f"import sys, {modules}; print([m for m in ('matplotlib.pyplot', 'arch', 'scipy') if m in sys.modules])"
    path = os.pathsep.join(sys.path)
    env = {**os.environ, "PYTHONPATH": path}
    assert subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True).stdout == "[]\n"


def test_the_legend_has_as_many_columns_as_fit():
    with style.styled():
        for labels, columns in (
            (["a", "b", "c"], 3),
            (["x" * 50, "y" * 30], 2),
            (["x" * 90] * 3, 1),
            (["sea of nothing"] * 8, 5),
        ):
            figure = style.blank("t", height=2.0)
            panel = figure.add_subplot()
            for label in labels:
                panel.plot(np.zeros(2), label=label)
            style.legend_below(figure, panel)
            assert vars(figure.legends[0])["_ncols"] == columns
            figure.draw_without_rendering()
            extent = figure.legends[0].get_window_extent()
            assert 0 <= extent.x0 < extent.x1 <= figure.bbox.x1


@pytest.mark.parametrize("length", [4, 30, 60, 90, 150])
@pytest.mark.parametrize("count", [2, 6, 12])
def test_a_long_legend_does_not_make_panels_smaller(count, length, drawn):
    def panel_of(labels: list[str]):
        with style.styled():
            figure = style.blank("title", height=2.9)
            panel = figure.add_subplot()
            for label in labels:
                panel.plot([0, 1], label=label)
            panel.set_ylabel("error / deviation (VRMSE)")
            style.legend_below(figure, panel)
        return drawn(figure).axes[0]

    height = panel_of(["a"]).get_window_extent().height
    panel = panel_of([f"{order} {'word ' * 40}"[:length] for order in range(count)])
    assert panel.get_window_extent().height == pytest.approx(height, rel=0.15)
