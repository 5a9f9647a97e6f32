"""The seven facial expressions of FER2013, in its order, and other names for them in folders of faces."""

EXPRESSIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")

ALIASES = {
    "anger": "angry",
    "disgusted": "disgust",
    "fearful": "fear",
    "afraid": "fear",
    "happiness": "happy",
    "sadness": "sad",
    "surprised": "surprise",
}


def expression_of(word: str) -> str | None:
    """Returns the expression that a word names, in any case or by an alias; None if it names no expression."""
    word = word.strip().lower()
    word = ALIASES.get(word, word)
    return word if word in EXPRESSIONS else None
