"""Code maps: small grids of codes, which a VQ-VAE makes of pictures; each code is the number of a codebook vector.

van den Oord et al. 2017, "Neural discrete representation learning", https://arxiv.org/abs/1711.00937.
"""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from adlx.atomic import replacing
from adlx.data.images.sources.expressions import EXPRESSIONS
from adlx.data.images.sources.samples import Samples
from adlx.data.splits import PARTS
from adlx.errors import UserError

STUDY_CODES = 256  # size of the codebook in the study, whose code maps come without their codebook
LARGEST_CODE = np.iinfo(np.int16).max
MOST_CLASSES = 100_000

Arrays = dict[str, np.ndarray]


def read_code_maps(path: str | Path) -> tuple[Samples, int]:
    """Reads code maps and their labels.

    Args:
        path: one of three. A folder with `codemaps.npy` (N, h, w), `labels.npy` (N,) or one-hot (N, K), and optionally
            `codebook.npy` (codes, dimension). An npz file with `codes` and `labels`, and optionally `codebook`, `parts`
            (N,), `classes` (K,), `names` (N,), `detail` and `simulated`; `write_code_maps` writes such files. The
            folder of a VQ-VAE run: the newest `codes.npz` that `adlx predict` wrote there is read.

    Returns:
        the samples, with int16 (N, h, w) maps, and the number of codes. That is the size of the codebook; without a
        codebook it is 256, as in the study, or the largest code plus 1 if this is more.

    Raises:
        UserError: a file is missing, has another form, or its arrays contradict each other; the message is one line.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise UserError(f"data.path={path} does not exist; check the spelling and the folder you are in")
    if path.is_dir() and not (path / "run.json").exists():
        return _from_folder(path)
    return _from_npz(_newest_of_run(path) if path.is_dir() else path)


def write_code_maps(path: str | Path, samples: Samples) -> None:
    """Writes an npz from which `read_code_maps` reads the same samples, with source "codes".

    The file is written whole or not at all. Equal samples give equal bytes, because NumPy writes a fixed date.

    Raises:
        UserError: the codes are negative, too large for int16, or not whole numbers.
    """
    arrays: Arrays = {
        "codes": _codes(samples.values, Path(path).name),
        "labels": samples.labels,
        "classes": np.array(samples.classes, dtype=np.str_),
        "detail": np.array(samples.detail),
        "simulated": np.array(samples.simulated),
    }
    if samples.parts is not None:
        arrays["parts"] = samples.parts
    if samples.codebook is not None:
        arrays["codebook"] = samples.codebook
    if samples.names is not None:
        arrays["names"] = np.array(samples.names, dtype=np.str_)
    with replacing(path) as file:
        np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType]


def _newest_of_run(run: Path) -> Path:
    # The name of a folder has the time of its prediction. A copy keeps the name, but not the time of the file.
    files = sorted(run.glob("predict/*/codes.npz"))
    if not files:
        raise UserError(f"the run {run.resolve().name} has no code maps yet; make them with: adlx predict {run}")
    return files[-1]


def _from_folder(folder: Path) -> tuple[Samples, int]:
    for name in ("codemaps.npy", "labels.npy"):
        if not (folder / name).exists():
            raise UserError(
                f"data.path={folder} holds no {name}; name a folder with codemaps.npy and labels.npy, "
                "an npz file with codes and labels, or a run"
            )
    arrays = _load(folder / "codemaps.npy", "codes") | _load(folder / "labels.npy", "labels")
    if (folder / "codebook.npy").exists():
        arrays |= _load(folder / "codebook.npy", "codebook")
    keys = {"codes": "codemaps.npy", "labels": "labels.npy", "codebook": "codebook.npy"}
    return _samples(arrays, keys, folder.resolve().name, unlabelled=False)


def _from_npz(path: Path) -> tuple[Samples, int]:
    arrays = _load(path, None)
    keys = {name: f"{path.name}: {name}" for name in ("codes", "labels", "codebook", "parts", "classes", "names")}
    for name in ("codes", "labels"):
        if name not in arrays:
            has = ", ".join(arrays) or "nothing"
            raise UserError(
                f"{path.name} holds no array {name} (it has {has}); it needs codes (N, h, w) and labels (N,)"
            )
    return _samples(arrays, keys, path.name, unlabelled=True)


def _load(path: Path, name: str | None) -> Arrays:
    """Loads the array of an npy and calls it `name`; if `name` is None, loads the arrays of an npz with their names."""
    kind = "npz" if name is None else "npy"
    try:
        # Pickles are refused because they can run any code. NumPy does not close a broken file that it opened itself.
        with open(path, "rb") as file:
            content = np.load(file, allow_pickle=False)
            if isinstance(content, np.ndarray):
                arrays = {name: content} if name is not None else None
            else:
                arrays = {key: content[key] for key in content.files} if name is None else None
    except (OSError, ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        if "pickle" in reason:  # NumPy would advise to trust the file
            reason = "it is not a NumPy file, or it holds Python objects"
        raise UserError(f"{path.name} cannot be read as {kind}: {reason}; write it with NumPy again") from error
    if arrays is None:
        instead = (
            "an npy, so name the folder that holds codemaps.npy" if name is None else "an npz; save it with np.save"
        )
        raise UserError(f"{path.name} is no {kind} but {instead}")
    return arrays


def _samples(arrays: Arrays, keys: dict[str, str], where: str, unlabelled: bool) -> tuple[Samples, int]:
    """Checks that the arrays fit each other.

    Args:
        arrays: arrays by name.
        keys: what messages call each array.
        where: the file or folder, for messages.
        unlabelled: whether label -1, unknown, is allowed.
    """
    codes = _codes(arrays["codes"], keys["codes"])
    codebook = _codebook(arrays["codebook"], keys["codebook"]) if "codebook" in arrays else None
    largest = int(codes.max())
    if codebook is not None and largest >= len(codebook):
        raise UserError(
            f"{keys['codes']} reaches code {largest:,}, but {keys['codebook']} has only {len(codebook):,} vectors "
            f"(codes 0 to {len(codebook) - 1:,}); use codes and codebook of the same VQ-VAE"
        )
    labels, width = _labels(arrays["labels"], keys["labels"], unlabelled)
    names = arrays.get("names")
    parts = arrays.get("parts")
    for name, others in (("labels", labels), ("parts", parts), ("names", names)):
        if others is not None and others.shape != codes.shape[:1]:
            raise UserError(
                f"{keys['codes']} has {len(codes):,} maps, but {keys[name]} holds {_shape(others)}; give one per map"
            )
    if parts is not None and not np.isin(parts, range(len(PARTS))).all():
        raise UserError(f"{keys['parts']} may hold only 0 (train), 1 (validation) and 2 (test)")
    count, height, grid_width = codes.shape
    samples = Samples(
        values=codes,
        labels=labels,
        classes=_classes(arrays.get("classes"), labels, width, keys),
        source="codes",
        detail=str(arrays["detail"]) if "detail" in arrays else f"{where} ({count:,} maps of {height} x {grid_width})",
        simulated=bool(np.any(arrays.get("simulated", False))),
        parts=None if parts is None else parts.astype(np.int8),
        codebook=codebook,
        names=None if names is None else _words(names),
    )
    return samples, len(codebook) if codebook is not None else max(STUDY_CODES, largest + 1)


def _codes(codes: np.ndarray, key: str) -> np.ndarray:
    if codes.dtype.kind not in "iu":
        raise UserError(
            f"{key} holds {codes.dtype} numbers, but codes are whole numbers: convert them with .astype('int16')"
        )
    if codes.ndim != 3:
        raise UserError(f"{key} has the shape {_shape(codes)}, but code maps are (N, height, width)")
    if codes.size == 0:
        raise UserError(f"{key} is empty: its shape is {_shape(codes)}; give at least one map")
    if codes.min() < 0:
        raise UserError(f"{key} holds the negative code {codes.min()}; codes are counted from 0")
    if codes.max() > LARGEST_CODE:
        raise UserError(
            f"{key} reaches code {codes.max():,}; codebooks of up to {LARGEST_CODE + 1:,} vectors are possible"
        )
    return codes.astype(np.int16)


def _codebook(codebook: np.ndarray, key: str) -> np.ndarray:
    if codebook.ndim != 2 or codebook.size == 0 or codebook.dtype.kind not in "fiu":
        raise UserError(
            f"{key} is {codebook.dtype} of the shape {_shape(codebook)}, but a codebook is (codes, dimension) of floats"
        )
    if not np.isfinite(codebook).all():
        raise UserError(f"{key} holds a number that is not finite; export the codebook again")
    return codebook.astype(np.float32)


def _labels(labels: np.ndarray, key: str, unlabelled: bool) -> tuple[np.ndarray, int | None]:
    """Returns (N,) int64, and K if the labels are one-hot."""
    if labels.ndim == 2 and labels.shape[1] == 1:  # one column, as in the data sets of Keras
        labels = labels[:, 0]
    if labels.dtype.kind not in "iufb" or labels.ndim not in (1, 2):
        raise UserError(
            f"{key} is {labels.dtype} of the shape {_shape(labels)}, but labels are whole (N,) or one-hot (N, K)"
        )
    if labels.ndim == 2:
        wrong = np.flatnonzero((labels.sum(axis=1) != 1) | ((labels != 0) & (labels != 1)).any(axis=1))
        if len(wrong):
            raise UserError(
                f"{key}: row {wrong[0]} is not one-hot (one 1, else 0) but sums to {labels[wrong[0]].sum():g}"
            )
        return labels.argmax(axis=1), labels.shape[1]
    wrong = np.flatnonzero(~(np.isfinite(labels) & (labels == np.floor(labels))))
    if len(wrong):
        raise UserError(f"{key}: [{wrong[0]}] is {labels[wrong[0]]:g}; labels are whole numbers from 0")
    wrong = np.flatnonzero(labels < (-1 if unlabelled else 0))
    if len(wrong):
        unknown = " (-1: unknown)" if unlabelled else ""
        raise UserError(f"{key}: [{wrong[0]}] is {labels[wrong[0]]:g}; labels are whole numbers from 0{unknown}")
    if len(labels) and labels.max() >= MOST_CLASSES:
        raise UserError(
            f"{key}: [{labels.argmax()}] is {labels.max():g}; labels number the classes from 0, "
            f"of which {MOST_CLASSES:,} are possible"
        )
    return labels.astype(np.int64), None


def _classes(given: np.ndarray | None, labels: np.ndarray, width: int | None, keys: dict[str, str]) -> tuple[str, ...]:
    largest = int(labels.max())
    if given is not None:
        if largest >= given.size:
            raise UserError(
                f"{keys['labels']} reaches {largest}, but {keys['classes']} names only {given.size} classes"
            )
        return _words(given)
    count = width or largest + 1
    return EXPRESSIONS if count == len(EXPRESSIONS) else tuple(str(label) for label in range(count))


def _words(array: np.ndarray) -> tuple[str, ...]:
    return tuple(str(word) for word in array.ravel())


def _shape(array: np.ndarray) -> str:
    return " x ".join(f"{side:,}" for side in array.shape) or "of a single number"
