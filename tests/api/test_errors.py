"""Errors of the Python functions, and how a notebook shows them."""

import signal

import pytest
from user_errors import user_error_of

import adlx
from adlx.api_output import quiet_call
from adlx.errors import Interrupted, RunFailed, UserError


def raise_(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("kind", [UserError, RunFailed])
def test_an_error_is_one_line_in_a_notebook(kind, monkeypatch):
    monkeypatch.delenv("ADLX_DEBUG", raising=False)
    assert kind("a\n  b")._render_traceback_() == [f"{kind.__name__}: a b"]
    monkeypatch.setenv("ADLX_DEBUG", "1")
    assert not hasattr(kind("a"), "_render_traceback_")  # IPython prints its own traceback


@pytest.mark.parametrize("debug", [False, True])
def test_ipython_shows_one_line_and_the_traceback_with_adlx_debug(debug, monkeypatch, capsys):
    shell = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell.instance()
    monkeypatch.setenv("ADLX_DEBUG", "1" if debug else "0")
    shell.run_cell("import adlx; adlx.train(['model=nlinear', 'data=crypto', 'epochs=3'])")
    shown = capsys.readouterr().out.strip().splitlines()
    assert len(shown) > 5 if debug else len(shown) == 1
    assert "unknown key epochs" in shown[-1]


def test_an_interrupt_is_a_keyboard_interrupt_that_says_how_to_go_on():
    with pytest.raises(KeyboardInterrupt) as caught, quiet_call():
        raise_(Interrupted(signal.SIGINT, "go on with: adlx resume RUN"))
    assert isinstance(caught.value, Interrupted)
    assert caught.value.__notes__ == ["go on with: adlx resume RUN"]
    assert caught.value._render_traceback_() == ["stopped by SIGINT; go on with: adlx resume RUN"]


def test_sigterm_raises_no_keyboard_interrupt():
    with pytest.raises(Interrupted, match="SIGTERM") as caught, quiet_call():
        raise_(Interrupted(signal.SIGTERM))
    assert not isinstance(caught.value, KeyboardInterrupt)


def test_errors_can_be_caught_by_their_public_names():
    message = user_error_of(adlx.train, ["model=nlinear", "data=crypto", "epochs=3"])
    assert "trainer.max_epochs" in message
    assert (adlx.UserError, adlx.RunFailed) == (UserError, RunFailed)
    assert set(adlx.__all__) <= set(dir(adlx))
    assert all(getattr(adlx, name).__doc__ for name in adlx.__all__)
