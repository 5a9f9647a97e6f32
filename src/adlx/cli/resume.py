"""`adlx resume RUN`."""

from pathlib import Path

from adlx.cli.arguments import Parser, settings


def parser() -> Parser:
    parser = Parser(
        "resume",
        "Continues a run that was stopped or killed, in the same folder, from its last checkpoint. On one CPU the "
        "result equals that of a run that was never stopped, bit for bit. On a multirun folder, runs the jobs that "
        "are missing.",
        {"trainer.KEY=VALUE": "a later trainer.max_epochs, another trainer.accelerator, ..."}
        | settings("finetune.run=RUN", "allow=[PACKAGE]"),
    )
    parser.add_run("run folder or multirun folder")
    parser.add_config_dir()
    return parser


def main(words: list[str]) -> None:
    folder, others = parser().read_run(words)
    from adlx.reporting.outcomes import report_sweep
    from adlx.reporting.terminal import brief, report

    if (Path(folder) / "multirun.json").is_file():
        from adlx.errors import RunFailed
        from adlx.sweeps.multirun import summarize
        from adlx.sweeps.resume import resume_sweep

        count = resume_sweep(Path(folder), others, brief)
        summary = summarize(Path(folder))
        report_sweep(summary.path, summary.comparison, summary.failed)
        if summary.failed:
            raise RunFailed(f"{len(summary.failed)} of {count} jobs failed")
        return
    from adlx.runs.folder import RunFolder
    from adlx.runs.resume import resume

    run = resume(RunFolder.open(folder), others, tested=report)
    print(f"run: {run.path}")
