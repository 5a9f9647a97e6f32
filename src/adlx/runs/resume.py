"""Going on with a run that was stopped, in the same folder."""

import logging
from collections.abc import Sequence

from adlx.config.check import check
from adlx.config.compose import apply
from adlx.config.targets import trust
from adlx.errors import UserError
from adlx.runs.assembly import assemble
from adlx.runs.finetune import located
from adlx.runs.folder import Run
from adlx.runs.progress import quiet_lightning
from adlx.runs.train import execute

log = logging.getLogger("adlx")


def resume(run: Run, words: Sequence[str] = ()) -> Run:
    """Trains on from `last.ckpt` to where the run would have got, bit for bit on one CPU.

    Args:
        run: stopped, failed or killed.
        words: overrides of `trainer.*` (a later `trainer.max_epochs`, another device) and `allow`.

    Raises:
        UserError: the run has finished, is still in progress, or its data are no longer what they were.
    """
    if bad := [word for word in words if not word.startswith(("trainer.", "allow=", "finetune.run="))]:
        raise UserError(
            f"{bad[0]}: a resumed run keeps its config; only trainer.* can change (start a new run instead)"
        )
    if run.status == "finished" and not words:
        raise UserError(
            f"{run.path} has finished: adlx eval, predict or compare it (or give a later trainer.max_epochs)"
        )
    if run.status == "finished" and not run.last.is_file():
        raise UserError(f"{run.path} holds no state to go on from: start a new run with finetune.run={run.path}")
    config, allow = apply(run.config, words)
    trust(allow)
    config["finetune"] = located(run, config["finetune"])
    check(config, lambda key: f"in {run.path}/config.yaml")
    quiet_lightning()
    data, task = assemble(config, pinned=run.info["data"], trained=run.last.is_file())
    found, expected = data.about()["fingerprint"], run.info["data"]["fingerprint"]
    if found != expected:
        raise UserError(
            f"the data changed since {run.path} was started (fingerprint {found[:12]}, was {expected[:12]}): "
            "start a new run, or evaluate this one"
        )
    log.info(f"resuming {run.path}")
    return execute(run, config, data, task, resumed=True)
