"""`adlx resume RUN`."""

import sys
from pathlib import Path

from adlx.cli.examples import examples

HELP = """usage: adlx resume RUN [trainer.k=v ...]

Goes on with a run that was stopped or killed, in the same folder, from its last checkpoint. On one CPU the result is
that of the run that was never stopped, bit for bit. On a multirun folder, runs what is missing.

"""


def main(words: list[str]) -> None:
    if not words or words[0] in ("-h", "--help"):
        print(HELP + examples("resume"), end="")
        sys.exit(0 if words else 2)
    from adlx.reporting.outcomes import report_sweep
    from adlx.reporting.terminal import brief, report

    folder, *overrides = words
    if (Path(folder) / "multirun.json").is_file():
        from adlx.errors import RunFailed
        from adlx.sweeps.multirun import summarize
        from adlx.sweeps.resume import resume_sweep

        count = resume_sweep(Path(folder), overrides, brief)
        summary = summarize(Path(folder))
        report_sweep(summary.path, summary.comparison, summary.failed)
        if summary.failed:
            raise RunFailed(f"{len(summary.failed)} of {count} jobs failed")
        return
    from adlx.runs.folder import RunFolder
    from adlx.runs.resume import resume

    run = resume(RunFolder.open(folder), overrides, tested=report)
    print(f"run: {run.path}")
