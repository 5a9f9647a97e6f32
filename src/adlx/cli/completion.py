"""`adlx completion SHELL` prints a script; at each TAB, the script calls `adlx completion complete`."""

from adlx.cli.arguments import Parser

EXAMPLES = """examples:
  eval "$(adlx completion bash)"      # in ~/.bashrc
  eval "$(adlx completion zsh)"       # in ~/.zshrc, after compinit
  adlx completion fish > ~/.config/fish/completions/adlx.fish
"""

SCRIPTS = {
    "bash": """_adlx() {
  local line="${COMP_LINE:0:$COMP_POINT}" word
  COMPREPLY=()
  while IFS= read -r word; do
    [[ -n "$word" ]] && COMPREPLY+=("$word")
  done < <(adlx completion complete -- "$line" 2>/dev/null)
  # bash splits words at = and :, so that it replaces only what follows them
  local current="${line##* }"
  local kept="${current%"${current##*[=:]}"}"
  COMPREPLY=("${COMPREPLY[@]#"$kept"}")
  # a space follows a word that is complete; without any word, bash completes files
  case "${#COMPREPLY[@]} ${COMPREPLY[0]}" in
    1*[=./]) ;;
    [01]" "*) compopt +o nospace 2>/dev/null ;;
  esac
}
complete -o nospace -o default -F _adlx adlx
""",
    "zsh": """_adlx() {
  local -a offers
  offers=(${(f)"$(adlx completion complete -- "$LBUFFER" 2>/dev/null)"})  # no empty word where there is no offer
  compadd -Q -S '' -- $offers && return
  compset -P '*='
  _files
}
compdef _adlx adlx
""",
    "fish": "complete -c adlx -a '(adlx completion complete -- (commandline -cp))'\n",
}


def parser() -> Parser:
    parser = Parser(
        "completion",
        "Prints a script that makes the shell complete verbs, flags, choices, keys, values and run folders.",
        epilog=EXAMPLES,
    )
    parser.add_argument("shell", choices=[*SCRIPTS], metavar="SHELL", help=", ".join(SCRIPTS))
    return parser


def main(words: list[str]) -> None:
    if words[:1] == ["complete"]:
        from adlx.cli.candidates import complete
        from adlx.cli.main import VERBS

        for word in complete(words[-1], list(VERBS)):
            print(word)
        return
    print(SCRIPTS[parser().parse_args(words).shell], end="")
