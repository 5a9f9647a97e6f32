"""The private names of Hydra that adlx uses still exist and work as before."""

import inspect

from hydra._internal.core_plugins import basic_sweeper

from adlx.config.hydra_internals import grid_jobs


def test_hydra_still_has_what_grid_jobs_calls():
    sweeper = getattr(basic_sweeper, "BasicSweeper", None)
    split = getattr(sweeper, "split_arguments", None)
    module = "hydra._internal.core_plugins.basic_sweeper"
    assert callable(split), (
        f"this version of Hydra has no {module}.BasicSweeper.split_arguments: change adlx.config.hydra_internals"
    )
    assert list(inspect.signature(split).parameters) == ["overrides", "max_batch_size"], (
        f"{module}.BasicSweeper.split_arguments has other arguments now: change adlx.config.hydra_internals"
    )


def test_the_last_word_changes_fastest_in_a_grid():
    assert grid_jobs(["model=a,b", "seed=0,1", "x=[1,2]"]) == [
        ["model=a", "seed=0", "x=[1,2]"],
        ["model=a", "seed=1", "x=[1,2]"],
        ["model=b", "seed=0", "x=[1,2]"],
        ["model=b", "seed=1", "x=[1,2]"],
    ]
    assert grid_jobs(["seed=range(3)"]) == [["seed=0"], ["seed=1"], ["seed=2"]]
    assert grid_jobs(["lr=choice(0.1,0.01)", "a=b"]) == [["lr=0.1", "a=b"], ["lr=0.01", "a=b"]]
    assert grid_jobs([]) == [[]]
