"""The seven facial expressions of FER2013, by its numbering, and what else folders of faces call them."""

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
    """The expression that a word names in any case and under any alias; None: it names none."""
    word = word.strip().lower()
    word = ALIASES.get(word, word)
    return word if word in EXPRESSIONS else None
