import pytest
from filelock import FileLock
from user_errors import user_error_of

from adlx import caching
from adlx.caching import cache_folder, locked


def test_the_environment_variable_sets_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("ADLX_CACHE", str(tmp_path / "here"))
    assert cache_folder() == tmp_path / "here"
    monkeypatch.delenv("ADLX_CACHE")
    assert cache_folder().name == "adlx"


def test_one_process_at_a_time_holds_a_file(tmp_path):
    path = tmp_path / "below" / "file.npy"
    with locked(path, "waits", 1) as usable:
        assert usable
        with pytest.raises(TimeoutError):
            FileLock(path.with_suffix(".lock")).acquire(timeout=0.05)
    FileLock(path.with_suffix(".lock")).acquire(timeout=0.05).lock.release()


def test_a_wait_is_logged_and_ends_with_an_error(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(caching, "_PATIENCE", 0.05)
    caplog.set_level("INFO", logger="adlx")
    path = tmp_path / "file.npy"

    def enter():
        with locked(path, "solves the same", 0.2):
            raise AssertionError("both have it")

    with FileLock(path.with_suffix(".lock")):
        message = user_error_of(enter)
    lock = tmp_path / "file.lock"
    assert message == f"another process that solves the same has held {lock} for 0 s; wait for it, or stop it"
    assert caplog.messages == [f"cache: waiting for another process that solves the same (it holds {lock})"]


def test_a_cache_folder_that_cannot_be_made_is_not_used(tmp_path, caplog):
    caplog.set_level("INFO", logger="adlx")
    (tmp_path / "file").touch()
    with locked(tmp_path / "file" / "below" / "x.npy", "waits", 1) as usable:
        assert not usable
    assert caplog.messages == [
        f"cache: cannot use the folder {tmp_path / 'file' / 'below'} (Not a directory); going on without"
    ]
