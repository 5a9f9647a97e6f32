"""Drawn faces of 48 by 48 grey pixels in the seven classes of FER2013, for users without that file.

An expression is a set of facial actions (Ekman & Friesen, 1978, "Facial Action Coding System"): brows lowered or
raised, lids widened or tightened, lip corners pulled or depressed. A face of class k has

    action = intensity * (mean[k] + spread * z) + habit * z',     z, z' ~ N(0, 1).

The intensity is one number per face. The habit is the look of the face at rest; a neutral face has this term only. A
weak fear therefore looks like surprise, and a face with a low mouth at rest looks sad. Identity, pose and lighting are
drawn independently of the class, and change far more pixels than the expression does.

Lengths are in pixels of a face at scale 1. `u` points right and `v` down from the middle of the head; tones are 0 to 1.
Paired features such as eyes are drawn together, as functions of `a = |u|`.
"""

from collections.abc import Sequence

import numpy as np

from adlx.data.images.sources.expressions import EXPRESSIONS
from adlx.data.images.sources.samples import Samples
from adlx.errors import UserError

FER_SHARES = tuple(faces / 35_887 for faces in (4953, 547, 5121, 8989, 6077, 4002, 6198))
SIDE = 48

Face = dict[str, np.ndarray]  # quantities by name, each (N,): one number per face

# Means at full intensity, one per class in the order of EXPRESSIONS; then the spread and the habit.
_ACTIONS: dict[str, tuple[tuple[float, ...], float, float]] = {
    "brows_up": ((-1.4, -0.7, 1.5, 0.2, -0.2, 2.4, 0.0), 0.40, 0.22),
    "inner_brows_up": ((-2.3, -0.9, 1.7, 0.1, 2.2, 0.3, 0.0), 0.40, 0.20),
    "upper_lids_up": ((0.2, -0.7, 1.2, -0.3, -0.8, 1.2, 0.0), 0.25, 0.20),
    "lower_lids_up": ((0.7, 1.0, 0.4, 1.0, 0.1, -0.3, 0.0), 0.25, 0.15),
    "corners_up": ((-0.7, -1.1, -0.5, 2.6, -2.2, 0.0, 0.0), 0.40, 0.20),
    "mouth_open": ((-0.2, 0.4, 1.3, 1.0, -0.1, 3.2, 0.0), 0.50, 0.15),
    "mouth_wide": ((-0.5, -0.3, 1.1, 1.9, -0.5, -1.3, 0.0), 0.40, 0.30),
    "upper_lip_up": ((0.1, 1.8, 0.0, 0.3, 0.0, 0.0, 0.0), 0.20, 0.10),
    "nose_wrinkled": ((0.3, 1.2, 0.0, 0.0, 0.0, 0.0, 0.0), 0.20, 0.08),
}

# Drawn uniformly between two limits.
_IDENTITY = {
    "head_wide": (13.5, 16.5),
    "head_high": (18.0, 20.5),
    "jaw": (0.05, 0.35),  # how much narrower the head is at the chin
    "skin": (0.42, 0.88),
    "eye_distance": (5.8, 7.0),  # from the middle of the face
    "eyes_level": (-4.2, -2.4),
    "eyes_wide": (3.0, 3.8),
    "eyes_high": (1.3, 1.8),
    "iris": (0.05, 0.45),
    "brows_thick": (0.6, 1.3),
    "brows_above": (3.6, 4.8),
    "nose_level": (3.2, 5.4),
    "nose_wide": (1.6, 2.6),
    "mouth_below": (4.4, 6.0),  # the nose
    "mouth_half": (4.2, 5.4),
    "lips": (0.7, 1.5),
    "lips_tone": (0.62, 0.85),
    "teeth": (-0.5, 0.7),  # share of the open mouth; no teeth if negative
    "hair": (0.03, 0.75),
    "hairline": (-15.5, -10.5),
    "parting": (-0.25, 0.25),  # slope of the hairline
    "hair_long": (-6.0, 18.0),
    "beard": (-1.0, 0.45),
    "glasses": (-2.4, 0.6),
    "gaze": (-1.2, 1.2),
}
# Drawn between two limits, most often near the middle, because a face detector crops pictures that way.
_POSE = {
    "roll": (-15.0, 15.0),  # degrees
    "right": (-3.0, 3.0),
    "down": (-3.0, 3.0),
    "scale": (1.03, 1.31),
    "yaw": (-2.0, 2.0),  # shift of the features from the middle of the outline, in pixels
    "pitch": (-1.0, 1.0),
}
_SCENE = {
    "ground": (0.05, 0.95),
    "ground_slope": (-0.3, 0.3),
    "clothes": (0.05, 0.9),
    "light": (0.0, 360.0),  # degrees
    "light_slope": (0.0, 0.4),
    "gain": (0.7, 1.15),
    "contrast": (0.75, 1.15),
    "noise": (0.01, 0.035),
    "blur": (0.0, 0.25),
}
_LOWEST_INTENSITY = 0.55  # of an expression; the highest is 1
_BATCH = 64  # faces drawn together, so that their pixels fit into the processor's cache


def simulated_faces(count: int, seed: int = 0, shares: Sequence[float] = FER_SHARES) -> Samples:
    """Draws faces, (count, 1, 48, 48) uint8.

    Args:
        count: number of faces.
        seed: the same seed gives the same bytes.
        shares: share of each expression; they need not sum to 1.
    """
    if count < 1:
        raise UserError(f"data.count={count}: must be at least 1")
    if seed < 0:
        raise UserError(f"data.simulation_seed={seed}: must be at least 0")
    if len(shares) != len(EXPRESSIONS) or min(shares) < 0 or sum(shares) <= 0:
        raise UserError(f"shares={list(shares)}: give one share of 0 or above for each of {', '.join(EXPRESSIONS)}")
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(EXPRESSIONS)), apportion(count, shares)))
    face = random_faces(labels, rng)
    values = np.empty((count, 1, SIDE, SIDE), np.uint8)
    for start in range(0, count, _BATCH):
        batch = {name: value[start : start + _BATCH] for name, value in face.items()}
        values[start : start + _BATCH, 0] = add_light_and_noise(draw_faces(batch), batch, rng)
    detail = f"{count:,} drawn faces, seed {seed}"
    return Samples(values, labels, EXPRESSIONS, "simulated", detail, simulated=True)


def apportion(count: int, shares: Sequence[float]) -> np.ndarray:
    """Divides `count` into whole numbers by shares, with the method of largest remainders."""
    exact = np.asarray(shares, float) * count / sum(shares)
    whole = np.floor(exact + 1e-9).astype(np.int64)
    whole[np.argsort(whole - exact, kind="stable")[: count - whole.sum()]] += 1
    return whole


def random_faces(labels: np.ndarray, rng: np.random.Generator) -> Face:
    """Draws the random quantities of faces of these classes, except the noise of the pixels."""
    count = len(labels)
    face = {name: rng.uniform(*ends, count).astype(np.float32) for name, ends in (_IDENTITY | _SCENE).items()}
    for name, (low, high) in _POSE.items():
        face[name] = (low + (high - low) * rng.uniform(size=(3, count)).mean(axis=0)).astype(np.float32)
    intensity = rng.uniform(_LOWEST_INTENSITY, 1, count)
    for name, (means, spread, habit) in _ACTIONS.items():
        z, rest = rng.standard_normal((2, count))
        shown = np.where(labels == EXPRESSIONS.index("neutral"), 0, np.array(means)[labels] + spread * z)
        face[name] = (intensity * shown + habit * rest).astype(np.float32)
    return face


def draw_faces(face: Face) -> np.ndarray:
    """Draws (N, 48, 48) float32 tones under even light, without noise."""
    face = {name: np.asarray(value, np.float32)[:, None, None] for name, value in face.items()}
    u, v = _head_coordinates(face)
    image = _ground_hair_and_head(face, u, v)
    u = u - face["yaw"]
    u *= 1 + 0.03 * face["yaw"] * np.sign(u)  # the half that is turned away is narrower
    v = v - face["pitch"]
    _draw_brows_and_forehead(image, face, u, v)
    _draw_nose(image, face, u, v)
    _draw_mouth(image, face, u, v)
    _draw_eyes(image, face, u, v)
    return image


def _head_coordinates(face: Face) -> tuple[np.ndarray, np.ndarray]:
    x = np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2
    dx, dy = x[None, None, :] - face["right"], x[None, :, None] - face["down"]
    cos, sin = (f(np.deg2rad(face["roll"])) / face["scale"] for f in (np.cos, np.sin))
    return cos * dx + sin * dy, cos * dy - sin * dx


def _inside(distance: np.ndarray, soft: float = 0.7) -> np.ndarray:
    """Converts the distance of pixel centres inside a shape to coverage, 0 to 1; overwrites `distance`."""
    distance *= 0.5 / soft
    distance += 0.5
    return np.clip(distance, 0, 1, out=distance)


def _paint(image: np.ndarray, tone: np.ndarray | float, cover: np.ndarray) -> None:
    image += (tone - image) * cover


def _shade(image: np.ndarray, cover: np.ndarray) -> None:
    """Darkens the image by a share of its own tone."""
    image *= 1 - cover


def _ground_hair_and_head(face: Face, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    wide, high, skin = face["head_wide"], face["head_high"], face["skin"]
    image = face["ground"] + face["ground_slope"] * (u + v) / SIDE
    _paint(image, face["clothes"], _inside(v - high - 1))
    across = (u / (wide + 2.2)) ** 2
    behind = (1 - np.sqrt(across + (np.minimum(v, 0) / (high + 1.5)) ** 2)) * 16
    _paint(image, face["hair"], _inside(np.minimum(behind, face["hair_long"] - v)))
    _paint(image, skin * 0.7, _inside(np.minimum(0.5 * wide - np.abs(u), v - 10)))
    radius = np.sqrt((u / (wide * (1 - face["jaw"] * np.clip(v / high, 0, 1) ** 2))) ** 2 + (v / high) ** 2)
    lit = skin * (1.03 - 0.22 * radius**4)
    _paint(image, lit, _inside((1 - radius) * 16))
    fringe = face["hairline"] + face["parting"] * u + 9 * (u / wide) ** 4 - v
    _paint(image, face["hair"], _inside(np.minimum(fringe, behind), 1.0))
    below = v - (face["nose_level"] + 2.5) - 2 * np.cos(u * (3.1 / wide))
    _shade(image, np.clip(face["beard"], 0, 1) * _inside(np.minimum(below, (1 - radius) * 16), 2.5))
    return image


def _draw_brows_and_forehead(image: np.ndarray, face: Face, u: np.ndarray, v: np.ndarray) -> None:
    a = np.abs(u)
    start, length = face["eye_distance"] - 1.15 * face["eyes_wide"], 2.45 * face["eyes_wide"]
    t = (a - start) / length  # 0 at the inner end, 1 at the outer one
    level = face["eyes_level"] - face["brows_above"] - face["brows_up"]
    brow = level + 2.2 * (t - 0.6) ** 2 - face["inner_brows_up"] * (0.75 - t)
    thick = face["brows_thick"] * (1.15 - 0.5 * t)
    cover = _inside(np.minimum(thick - np.abs(v - brow), length * (0.5 - np.abs(t - 0.5))))
    _paint(image, np.minimum(face["hair"], 0.55 * face["skin"]), 0.85 * cover)
    window = np.clip(1 - (a / 6.5) ** 2, 0, 1)
    raised = np.clip(face["brows_up"] / 2.5, 0, 1)
    wrinkles = np.clip(np.sin((v - level) * 2.2) - 0.3, 0, 1) * window * (np.abs(v - level + 3.5) < 2.8)
    _shade(image, 0.3 * raised * wrinkles)
    knit = np.clip(-face["inner_brows_up"] / 2.5, 0, 1)
    _shade(image, 0.45 * knit * _inside(np.minimum(0.3 - np.abs(a - 1.1), 2.0 - np.abs(v - level - 1.2))))


def _draw_nose(image: np.ndarray, face: Face, u: np.ndarray, v: np.ndarray) -> None:
    a, wide, level = np.abs(u), face["nose_wide"], face["nose_level"]
    wrinkled = np.clip(face["nose_wrinkled"], 0, 1.4)
    level = level - 0.8 * wrinkled
    along = np.clip((v - face["eyes_level"]) / (level - face["eyes_level"]), 0, 1)
    edge = 1.0 + (wide - 0.6) * along**2
    _shade(image, 0.14 * _inside(np.minimum(0.6 - np.abs(a - edge), level - v), 1.0) * (along > 0))
    _shade(image, 0.5 * _inside((1 - np.sqrt(((a - 0.65 * wide) / 0.9) ** 2 + ((v - level) / 0.6) ** 2)) * 0.7))
    across = np.clip(np.sin((v - level + 0.25 * a) * 2.0), 0, 1) * np.clip(1 - (a / 3.2) ** 2, 0, 1)
    _shade(image, 0.45 * wrinkled * across * (np.abs(v - 0.5 * (level + face["eyes_level"]) + 0.5) < 3.0))


def _draw_mouth(image: np.ndarray, face: Face, u: np.ndarray, v: np.ndarray) -> None:
    half, up = face["mouth_half"] + face["mouth_wide"], face["upper_lip_up"]
    gap, pressed = np.clip(face["mouth_open"], 0, None), np.clip(1 + face["mouth_open"], 0.4, 1)
    q = (u / half) ** 2
    arc = np.copysign(np.sqrt(np.abs(1 - q)), 1 - q)
    level = face["nose_level"] + face["mouth_below"] - face["corners_up"] * (q - 0.4)
    top, bottom = level - (0.3 + 0.4 * gap + 0.6 * up) * arc, level + (0.3 + gap) * arc
    lips = face["lips"] * pressed * arc
    _paint(image, face["skin"] * face["lips_tone"], _inside(np.minimum(v - top + lips, bottom + 1.2 * lips - v)))
    inner = np.minimum(v - top, bottom - v)
    cover = _inside(inner.copy())
    _paint(image, 0.22 * face["skin"], cover)
    teeth = top + face["teeth"] * (0.6 + 1.4 * gap) - v
    _paint(image, 0.45 + 0.5 * face["skin"], _inside(np.minimum(teeth, inner - 0.3)))
    a = np.abs(u)
    nose, corner = face["nose_level"] - 0.5, face["nose_level"] + face["mouth_below"] - 0.5 * face["corners_up"]
    along = (v - nose) / (corner - nose)
    fold = face["nose_wide"] + 0.8 + (half - face["nose_wide"] + 0.4) * along
    deep = np.clip(0.1 + 0.3 * up + 0.12 * np.clip(face["corners_up"], 0, 3), 0, 0.6)
    _shade(image, 0.7 * deep * _inside(np.minimum(0.4 - np.abs(a - fold), 3 * (0.5 - np.abs(along - 0.5)))))
    _shade(image, 0.15 * _inside(1 - np.hypot(u / 3.0, v - bottom - 1.4 * face["lips"] - 1.0), 1.0))


def _draw_eyes(image: np.ndarray, face: Face, u: np.ndarray, v: np.ndarray) -> None:
    distance, wide = face["eye_distance"], face["eyes_wide"]
    du, dv = np.abs(u) - distance, v - face["eyes_level"]
    arc = 1 - (du / wide) ** 2
    upper = np.clip(face["eyes_high"] + face["upper_lids_up"], 0.35, None)
    lower = np.clip(face["eyes_high"] * 0.8 - 0.7 * face["lower_lids_up"], 0.15, None)
    top, bottom = -upper * arc, lower * arc
    _shade(image, 0.15 * np.clip(1 - (du / 5) ** 2 - (dv / 4.5) ** 2, 0, 1))
    opening = _inside(np.minimum(dv - top, bottom - dv), 0.5)
    _paint(image, 0.45 + 0.55 * face["skin"], opening)
    away = np.hypot(du - face["gaze"] * np.sign(u), dv + 0.2)
    _paint(image, face["iris"] * face["skin"], opening * _inside(1.4 - away, 0.5))
    _paint(image, 0.02, opening * _inside(0.6 - away))
    within = wide + 0.3 - np.abs(du)
    _paint(image, 0.25 * face["skin"], 0.8 * _inside(np.minimum(0.3 - np.abs(dv - top), within)))
    _shade(image, 0.25 * _inside(np.minimum(0.3 - np.abs(dv - bottom), within)))
    bag = np.clip(face["lower_lids_up"], 0, 1.2)
    _shade(image, 0.3 * bag * _inside(np.minimum(0.4 - np.abs(dv - lower * 0.6 - 1.8 + 0.1 * du**2), within)))
    rim = np.minimum(0.5 - np.abs(np.hypot(du / 1.15, dv - 0.3) - 4.2), 1.0)
    bridge = np.minimum(0.5 - np.abs(dv + 0.5), distance - 4.6 - np.abs(u))
    _paint(image, 0.1, np.clip(2 * face["glasses"], 0, 0.9) * _inside(np.maximum(rim, bridge)))


def add_light_and_noise(image: np.ndarray, face: Face, rng: np.random.Generator) -> np.ndarray:
    """Returns (N, 48, 48) uint8: the tones blurred, lit from one side, with the noise of a camera."""
    face = {name: np.asarray(value, np.float32)[:, None, None] for name, value in face.items()}
    for axis in (1, 2):
        sides = np.roll(image, 1, axis) + np.roll(image, -1, axis)
        image = image + face["blur"] * (0.5 * sides - image)
    x = np.linspace(-1, 1, SIDE, dtype=np.float32)
    angle = np.deg2rad(face["light"])
    light = face["gain"] * (1 + face["light_slope"] * (np.cos(angle) * x[None, None, :] + np.sin(angle) * x[:, None]))
    image = 0.5 + face["contrast"] * (image * light - 0.5)
    image += face["noise"] * rng.standard_normal(image.shape, np.float32)
    return np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)
