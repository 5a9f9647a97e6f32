"""Resumes a run that was stopped, in the same folder."""

import logging
from collections.abc import Sequence

from adlx.config.apply import apply
from adlx.config.config_dirs import split_config_dirs
from adlx.config.targets import trust
from adlx.errors import UserError
from adlx.runs.build import build_data, check_pair
from adlx.runs.check_settings import check_settings
from adlx.runs.checkpoints import card_of, load_card, load_checkpoint
from adlx.runs.folder import RunFolder
from adlx.runs.groups import checked_stored
from adlx.runs.progress import quiet_lightning
from adlx.runs.restore import locate_base, readable_mismatch, restore_task, spec_from
from adlx.runs.start import follow_base, new_task
from adlx.runs.train import Notify, execute, ignore

log = logging.getLogger("adlx")


def resume(run: RunFolder, words: Sequence[str] = (), tested: Notify = ignore) -> RunFolder:
    """Continues training from `last.ckpt`. On one CPU the result equals that of an uninterrupted run, bit for bit.

    Args:
        run: stopped, failed or killed.
        words: overrides of `trainer.*` (a larger `trainer.max_epochs`, another device) and `allow`.
        tested: called with the run as soon as its scores are written.

    Raises:
        UserError: the run has finished, is still in progress, or its data have changed.
    """
    words, folders = split_config_dirs(words)
    if refused := [word for word in words if not word.startswith(("trainer.", "allow=", "finetune.run="))]:
        raise UserError(
            f"{refused[0]}: a resumed run keeps its config; only trainer.* can change (start a new run instead)"
        )
    if run.status == "finished" and not words:
        raise UserError(
            f"{run.path} has finished: adlx eval, predict or compare it (or give a later trainer.max_epochs)"
        )
    if run.status == "finished" and not run.last.is_file():
        raise UserError(f"{run.path} has no last.ckpt to continue from: start a new run with finetune.run={run.path}")
    plain, allow = apply(run.config, words, [*folders, *run.config_folders])
    trust(allow)
    plain["finetune"] = locate_base(run, plain["finetune"])
    config = checked_stored(plain, run.path / "config.yaml", {word.split("=")[0] for word in words})
    check_pair(config.plain)
    quiet_lightning()
    check_settings(config)
    data = build_data(config, run)
    if run.last.is_file():
        data.base_spec = spec_from(load_card(run.last)["spec"], run.last)
    else:
        follow_base(data, config)
    data.setup("fit")
    data.check_training_part()
    if run.last.is_file():
        task = restore_task(config, data)
        with readable_mismatch(run):
            checkpoint = load_checkpoint(run.last)
            card_of(checkpoint, run.last)
            task.load_weights(checkpoint)
    else:
        task = new_task(config, data)
    fingerprint, expected = data.about()["fingerprint"], run.info["data"].get("fingerprint", "")
    if fingerprint != expected:
        raise UserError(
            f"the data changed since {run.path} was started (fingerprint {fingerprint[:12]}, was {expected[:12]}): "
            "start a new run, or evaluate this one"
        )
    run.remember_config_folders(folders)
    log.info(f"resuming {run.path}")
    return execute(run, config, data, task, resumed=True, tested=tested)
