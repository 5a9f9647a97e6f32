"""The help of each verb comes from the config files and the parsers, and ends in commands that run."""

import importlib
import pkgutil
import re
import shlex

import pytest
from shell import Ended
from user_errors import user_error_of

import adlx.cli
from adlx.cli.arguments import Parser
from adlx.cli.main import VERBS
from adlx.config.catalog import GROUPS, NODES, options
from adlx.config.compose import compose
from adlx.config.hydra_internals import flags
from adlx.runs.evaluate import evaluate
from adlx.runs.groups import checked
from adlx.runs.predict import predict
from adlx.runs.resume import resume


def examples(help_text: str) -> list[list[str]]:
    """The words of each command at the end of a help."""
    tail = help_text.partition("examples:\n")[2]
    lines = [line.partition("  #")[0].strip() for line in tail.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith(("adlx ", "eval ", "tensorboard "))]


def test_help_lists_all_verbs_and_examples(call):
    ended = call("--help")
    assert ended.code == 0
    for verb, text in VERBS.items():
        assert re.search(rf"^  {verb} +{re.escape(text)}$", ended.out, re.MULTILINE)
    assert [words[:2] for words in examples(ended.out)] == [
        ["adlx", "train"],
        ["adlx", "train"],
        ["tensorboard", "--logdir"],
    ]
    bare = call()
    assert (bare.code, bare.out) == (2, ended.out)


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_ends_in_its_examples(verb, call):
    ended = call(verb, "--help")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"usage: adlx {verb} ")
    commands = examples(ended.out)
    assert len(commands) >= 2
    assert all(f"adlx {verb}" in " ".join(words) for words in commands)


@pytest.mark.parametrize("verb", ["", "train"])
def test_examples_of_train_are_valid_configs(verb, call):
    checked_commands = 0
    for words in examples(call(*filter(None, [verb, "--help"])).out):
        if words[:2] != ["adlx", "train"]:
            continue
        settings = [word.split(",")[0] for word in words[2:] if word not in ("-m", "--cfg", "job")]
        composition = compose(settings)
        checked(composition.config, composition.origin)
        checked_commands += 1
    assert checked_commands >= 2


@pytest.mark.parametrize("verb", ["resume", "eval", "predict", "compare", "export"])
def test_a_missing_run_is_named(verb, call):
    ended = call(verb)
    assert ended.code == 2
    assert "RUN" in ended.out + ended.err


def parser_of(verb: str) -> Parser:
    return importlib.import_module(f"adlx.cli.{verb}").parser()


def test_the_verbs_are_the_files_that_have_a_parser():
    modules = [importlib.import_module(f"adlx.cli.{module.name}") for module in pkgutil.iter_modules(adlx.cli.__path__)]
    with_parser = {module.__name__.rpartition(".")[2] for module in modules if hasattr(module, "parser")}
    assert with_parser == set(VERBS)


def test_help_of_train_names_all_choices_keys_and_ways_to_use_own_configs(call):
    text = " ".join(call("train", "--help").out.split())
    for group in GROUPS:
        assert f"{group}=NAME {', '.join(options(group))}" in text
    for node in NODES:
        assert f"{node}.KEY=VALUE" in text
    composed = compose(["model=naive", "data=fx"]).config["trainer"]
    assert f"trainer.KEY=VALUE {', '.join(composed)}" in text
    for word in ("seed=0", "output_dir=outputs", "allow=[PACKAGE]", "--config-dir DIR", "-m, --multirun"):
        assert word in text


@pytest.mark.parametrize("verb", ["train", "resume", "eval", "predict", "compare", "export"])
def test_help_says_how_own_classes_are_allowed(verb, call):
    text = call(verb, "--help").out
    assert "allow=[PACKAGE]" in text
    assert "once on a machine is enough" in " ".join(text.split())
    assert ("--config-dir" in text) is (verb not in ("compare", "export"))


def test_help_of_predict_names_every_task_and_the_options_of_its_product(call):
    text = " ".join(call("predict", "--help").out.split())
    for task in options("task"):
        assert f" {task} " in text
    for option in ("predict.n=64", "predict.pictures=false", "predict.part=test", "seed=0"):
        assert option in text


def test_flags_of_train_are_flags_of_hydra():
    known = flags()
    for action in parser_of("train").arguments:
        assert set(action.option_strings) <= set(known)
        assert all(known[flag] is (action.nargs is None) for flag in action.option_strings)


@pytest.mark.parametrize(("verb", "function"), [("resume", resume), ("eval", evaluate), ("predict", predict)])
def test_a_verb_accepts_the_settings_that_its_help_names(verb, function, finished):
    """In a node that can be changed, a wrong key is unknown; any key of another node is refused."""
    prefixes = parser_of(verb).prefixes
    for node in NODES:
        line = user_error_of(function, finished, [f"{node}.nonsense=1"])
        assert line.startswith(f"unknown key {node}.nonsense") is (f"{node}." in prefixes), line
    line = user_error_of(function, finished, ["predict.nonsense=1"])
    assert line.startswith("predict.nonsense: no such option") is ("predict." in prefixes), line


def test_help_followed_by_a_verb_shows_its_help(call):
    assert call("help", "export") == call("export", "--help")
    assert call("help", "exprt") == Ended(2, "", "adlx: no verb exprt; did you mean export?\n")


def test_a_wrong_flag_or_a_missing_word_is_one_line(call):
    for words in (["eval", "RUN", "--epochs"], ["compare"], ["export", "RUN"], ["list", "a", "b"], ["completion", "x"]):
        ended = call(*words)
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
        assert ended.err.startswith(f"adlx {words[0]}: error: ")
