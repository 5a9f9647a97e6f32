"""`adlx completion SHELL`: a script for the shell, which asks `adlx completion complete` for words."""

import argparse
from pathlib import Path

from adlx.config.catalog import GROUPS, keys, options

EXAMPLES = """examples:
  eval "$(adlx completion bash)"      # in ~/.bashrc
  eval "$(adlx completion zsh)"       # in ~/.zshrc
  adlx completion fish > ~/.config/fish/completions/adlx.fish
"""

SCRIPTS = {
    "bash": """_adlx() {
  local line="${COMP_LINE:0:$COMP_POINT}" word
  COMPREPLY=()
  while IFS= read -r word; do COMPREPLY+=("$word"); done < <(adlx completion complete -- "$line" 2>/dev/null)
  # bash takes = for a border between words: offer only what follows it
  local current="${line##* }"
  if [[ "$current" == *=* ]]; then COMPREPLY=("${COMPREPLY[@]#"${current%=*}="}"); fi
}
complete -o nospace -o default -F _adlx adlx
""",
    "zsh": """_adlx() {
  local -a words_
  words_=("${(@f)$(adlx completion complete -- "$LBUFFER" 2>/dev/null)}")
  compadd -S '' -- $words_ || _files
}
compdef _adlx adlx
""",
    "fish": "complete -c adlx -a '(adlx completion complete -- (commandline -cp))'\n",
}


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="adlx completion",
        description="Prints a script that makes the shell complete verbs, choices and keys.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=[*SCRIPTS, "complete"], metavar="{bash,zsh,fish}")
    parser.add_argument("line", nargs="?", default="", help=argparse.SUPPRESS)
    given = parser.parse_args(words)
    if given.shell != "complete":
        print(SCRIPTS[given.shell], end="")
        return
    print("\n".join(complete(given.line)))


def complete(line: str) -> list[str]:
    """The words that can end a command line.

    Args:
        line: what has been typed, up to the cursor.
    """
    from adlx.cli.main import VERBS

    *before, current = line.split(" ")
    before = [word for word in before if word]
    if len(before) == 1:
        return [verb for verb in VERBS if verb.startswith(current)]
    verb = before[1] if len(before) > 1 else ""
    if verb == "list":
        return [group for group in GROUPS if group.startswith(current)]
    if verb in ("resume", "eval", "predict", "compare") and "=" not in current:
        folders = [str(path.parent) for path in sorted(Path("outputs").glob("*/*/run.json"))]
        return [folder for folder in folders if folder.startswith(current)]
    return [word for word in _settings(before, current) if word.startswith(current)]


def _settings(before: list[str], current: str) -> list[str]:
    group, has_value, _ = current.partition("=")
    if has_value:
        return [f"{group}={name}" for name in options(group)] if group in GROUPS else []
    node, dot, _ = current.partition(".")
    if not dot:
        return [*(f"{name}=" for name in GROUPS), "seed=", "output_dir="]
    chosen = dict(word.split("=", 1) for word in before if "=" in word).get(node)
    paths = [path for name, path in options(node).items() if chosen in (None, name)]
    return sorted({f"{node}.{key}=" for path in paths for key in keys(path)})
