"""A run that cannot work is refused before anything is written, or its folder is removed."""

import pytest
from user_errors import user_error_of

import adlx
from adlx.data.datamodule import DataModule
from adlx.errors import UserError
from adlx.runs.folder import check_output_dir
from adlx.tasks.forecast import Forecast


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["task=classify"],
            "task and model do not fit: Classify trains a Classifier, and NLinear is not one; the model's own config "
            "file chooses its task",
        ),
        (
            ["model=mlp", "task=forecast"],
            "task and model do not fit: Forecast trains a Forecaster, and MLP is not one; the model's own config "
            "file chooses its task",
        ),
        (
            ["model=elm"],
            "model and data do not fit: ELM is for images or code maps, and CSV gives series",
        ),
    ],
)
def test_a_task_a_model_and_data_that_do_not_fit_are_refused(words, line, small, tmp_path):
    assert user_error_of(small, *words) == line
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize("kind", [UserError, ValueError])
def test_statistics_that_cannot_be_computed_leave_nothing(kind, small, tmp_path, monkeypatch):
    """They are computed after the folder is made; it is removed, and so is the empty folder above it."""
    folders = []

    def refuse(task, data):
        folders.extend(path for path in (tmp_path / "outputs").glob("*/*") if path.is_dir())
        raise kind("series S1 is constant in the training part")

    monkeypatch.setattr(Forecast, "fit_statistics", refuse)
    assert user_error_of(small) == "series S1 is constant in the training part"
    assert [path.parent.name for path in folders] == ["nlinear-csv"]
    assert list((tmp_path / "outputs").iterdir()) == []


def test_settings_that_a_task_refuses_leave_nothing(tmp_path):
    """The message comes from the task, before a folder is made."""
    words = ["model=unet", "model.widths=[4,4]", "model.depth=1", "data=digits", "data.source=sklearn", "data.size=8"]
    quiet = ["logger=none", "trainer.accelerator=cpu", "trainer.threads=1", f"output_dir={tmp_path / 'outputs'}"]
    line = "task.kid_features=trained needs images of at least two classes; choose random or auto"
    assert user_error_of(adlx.train, [*words, *quiet, "data.digits=[3]", "task.kid_features=trained"]) == line
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("{file}", "output_dir={file} cannot be used: it is not a folder; choose another output_dir"),
        ("{file}/x/y", "output_dir={file}/x/y cannot be used: {file} is not a folder; choose another output_dir"),
        ("/proc/runs", "output_dir=/proc/runs cannot be used: no folder can be made in /proc (No such file"),
        ("", "output_dir is empty: give the folder in which run folders are made, such as outputs"),
        ("/" + 300 * "x", "output_dir=/" + 300 * "x" + " is not the path of a folder: File name too long"),
    ],
)
def test_an_output_dir_that_cannot_be_used_is_refused_before_data_are_read(output, line, small, tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setattr(DataModule, "setup", None)  # a call would fail
    refused = user_error_of(small, f"output_dir={output.format(file=file)}")
    assert refused.startswith(line.format(file=file))
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    """Simulates a folder of another user."""

    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("adlx.runs.folder.tempfile.mkdtemp", refuse)
    line = f"output_dir={tmp_path}/new cannot be used: no folder can be made in {tmp_path} (Permission denied); "
    assert user_error_of(check_output_dir, f"{tmp_path}/new") == line + "choose another one"


def test_an_output_dir_that_can_be_used_stays_as_it_is(tmp_path):
    check_output_dir(str(tmp_path / "new" / "deep"))
    check_output_dir(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_other_runs_of_the_same_name_stay(small, tmp_path, monkeypatch):
    kept = small()

    def refuse(task, data):
        raise UserError("no")

    monkeypatch.setattr(Forecast, "fit_statistics", refuse)
    assert user_error_of(small) == "no"
    assert list((tmp_path / "outputs" / "nlinear-csv").iterdir()) == [kept.path]


def test_training_from_python_prints_nothing(small, capsys):
    small()
    assert capsys.readouterr().out == ""
