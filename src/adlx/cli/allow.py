"""Reads `allow=[PACKAGE]` in commands whose other words are run folders and flags."""


def split_allow(words: list[str]) -> list[str]:
    """Trusts the packages that `allow=[...]` names, and returns the other words."""
    allow = [word for word in words if word.startswith("allow=")]
    if allow:
        from adlx.config.apply import apply
        from adlx.config.targets import trust

        trust(apply({}, allow)[1])
    return [word for word in words if word not in allow]
