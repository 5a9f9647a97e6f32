import math
import os
import warnings
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics

from adlx.atomic import replacing
from adlx.errors import UserError
from adlx.metrics.classification import ClassResult, baseline_errors, by_class, confusion_counts, errors
from adlx.metrics.significance import mcnemar
from adlx.metrics.skill import error_rate_skill

CLASSES = ("ängstlich", "froh/heiter", "wütend", "müde")


def one_hot(prediction, count=4):
    return np.eye(count)[np.asarray(prediction)]


@pytest.fixture
def by_hand():
    """Eight samples of three classes. The fourth class occurs only in the training part, and is predicted once."""
    return ClassResult(
        class_scores=one_hot([0, 0, 0, 1, 1, 0, 2, 3]),
        label=np.array([0, 0, 0, 0, 1, 1, 2, 2]),
        index=np.arange(100, 108),
        classes=CLASSES,
        majority=0,
        readouts={"nearest centroid": one_hot([0, 0, 0, 0, 1, 1, 2, 1]), "k/nn": one_hot([1] * 8)},
    )


@pytest.fixture
def random_result():
    rng = np.random.default_rng(5)
    label = rng.choice(7, size=400, p=[0.13, 0.02, 0.14, 0.25, 0.17, 0.12, 0.17])
    values = rng.normal(size=(400, 7)) + 1.5 * np.eye(7)[label]
    return ClassResult(values, label, np.arange(400), tuple("abcdefg"), 3)


def test_scores_by_hand(by_hand):
    table = by_hand.scores()
    # right: 3 of 4, 1 of 2, 1 of 2
    assert table["test/accuracy"] == 5 / 8
    assert table["test/recall/ängstlich"] == 3 / 4
    assert table["test/recall/froh/heiter"] == 1 / 2
    assert table["test/recall/wütend"] == 1 / 2
    assert "test/recall/müde" not in table
    assert table["test/balanced_accuracy"] == pytest.approx((3 / 4 + 1 / 2 + 1 / 2) / 3)
    # F1 = 2 right / (samples + predictions): predicted were 4, 2, 1
    assert table["test/f1_macro"] == pytest.approx((6 / 8 + 2 / 4 + 2 / 3) / 3)
    assert table["baseline/accuracy"] == 1 / 2
    assert table["baseline/balanced_accuracy"] == pytest.approx(1 / 3)
    assert table["baseline/f1_macro"] == pytest.approx((8 / 12) / 3)
    assert table["test/skill"] == pytest.approx(1 - (3 / 8) / (4 / 8))
    # only the guess is wrong: samples 4 and 6; only the model: sample 3
    assert table["test/mcnemar_pvalue"] == pytest.approx(1.0)
    assert all(type(value) is float for value in table.values())


def test_scores_of_further_readouts(by_hand):
    table = by_hand.scores()
    assert table["test/accuracy/nearest centroid"] == 7 / 8
    assert table["test/balanced_accuracy/nearest centroid"] == pytest.approx((1 + 1 + 1 / 2) / 3)
    assert table["test/f1_macro/nearest centroid"] == pytest.approx((1 + 4 / 5 + 2 / 3) / 3)
    assert table["test/accuracy/k/nn"] == 2 / 8
    assert table["test/balanced_accuracy/k/nn"] == pytest.approx(1 / 3)
    assert table["test/f1_macro/k/nn"] == pytest.approx((4 / 10) / 3)
    assert {key for key in replace(by_hand, readouts={}).scores() if key.count("/") > 1} == {
        "test/recall/ängstlich",
        "test/recall/froh/heiter",
        "test/recall/wütend",
    }


def test_scores_agree_with_scikit_learn(random_result):
    label, prediction = random_result.label, random_result.class_scores.argmax(axis=1)
    table = random_result.scores()
    report = metrics.classification_report(label, prediction, target_names=list("abcdefg"), output_dict=True)
    assert table["test/accuracy"] == pytest.approx(report["accuracy"])
    assert table["test/balanced_accuracy"] == pytest.approx(report["macro avg"]["recall"])
    assert table["test/f1_macro"] == pytest.approx(report["macro avg"]["f1-score"])
    np.testing.assert_array_equal(confusion_counts(random_result), metrics.confusion_matrix(label, prediction))
    for row in by_class(random_result).to_dict("records"):
        wanted = report[row["class"]]
        assert row["samples"] == wanted["support"]
        assert (row["precision"], row["recall"]) == pytest.approx((wanted["precision"], wanted["recall"]))
        assert row["f1"] == pytest.approx(wanted["f1-score"])
        assert table[f"test/recall/{row['class']}"] == pytest.approx(wanted["recall"])


def test_classes_without_samples_cause_no_warning_and_do_not_count(by_hand):
    """If the fourth class counted as 0, the macro F1 and the balanced accuracy would be lower."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = by_hand.scores()
        alone = replace(by_hand, label=np.full(8, 2)).scores()
        by_class(by_hand)
    assert table["test/balanced_accuracy"] == pytest.approx((3 / 4 + 1 / 2 + 1 / 2) / 3)
    assert table["test/f1_macro"] == pytest.approx((3 / 4 + 1 / 2 + 2 / 3) / 3)
    assert alone["test/balanced_accuracy"] == alone["test/accuracy"] == 1 / 8
    assert alone["test/f1_macro"] == pytest.approx(2 / 9)
    assert alone["baseline/f1_macro"] == alone["baseline/balanced_accuracy"] == 0.0
    assert [key for key in alone if "recall" in key] == ["test/recall/wütend"]


def test_skill_of_a_perfect_model_of_the_guess_and_of_a_perfect_guess(by_hand):
    assert replace(by_hand, class_scores=one_hot(by_hand.label)).scores()["test/skill"] == 1.0
    guess = replace(by_hand, class_scores=one_hot([0] * 8)).scores()
    assert guess["test/skill"] == 0.0
    assert guess["test/mcnemar_pvalue"] == 1.0
    for name in ("accuracy", "balanced_accuracy", "f1_macro"):
        assert guess[f"test/{name}"] == guess[f"baseline/{name}"]
    assert replace(by_hand, label=np.zeros(8, int)).scores()["test/skill"] == 0.0
    assert error_rate_skill(0.9, 0.3) == pytest.approx(-2.0)
    assert error_rate_skill(0.0, 0.0) == error_rate_skill(0.5, 0.0) == 0.0


def test_mcnemar_counts_samples_that_one_of_the_two_gets_wrong():
    #              5 only the first   1 only the second   both    neither
    first = np.array([1, 1, 1, 1, 1] + [0] + [1] * 10 + [0] * 20)
    second = np.array([0, 0, 0, 0, 0] + [1] + [1] * 10 + [0] * 20)
    assert mcnemar(first, second) == mcnemar(second, first) == pytest.approx(2 * (1 + 6) / 2**6)
    assert mcnemar(first, first) == 1.0
    always_wrong, always_right = np.ones(12), np.zeros(12)
    assert mcnemar(always_wrong, always_right) == pytest.approx(2 / 2**12)


def test_mcnemar_agrees_with_the_binomial_test_and_the_cumulated_tail(random_result):
    right = random_result.prediction == random_result.label
    guessed = random_result.label == 3
    gained, lost = int((right & ~guessed).sum()), int((~right & guessed).sum())
    total = gained + lost
    tail = sum(math.comb(total, count) for count in range(min(gained, lost) + 1)) / 2**total
    pvalue = random_result.scores()["test/mcnemar_pvalue"]
    assert pvalue == pytest.approx(2 * tail)
    assert pvalue == pytest.approx(binomtest(gained, total).pvalue)
    assert pvalue == mcnemar(errors(random_result), baseline_errors(random_result))
    assert 0 < pvalue < 1e-3


def test_by_class_by_hand(by_hand):
    table = by_class(by_hand)
    assert list(table) == ["class", "samples", "precision", "recall", "f1", "confused with"]
    assert tuple(table["class"]) == CLASSES
    assert list(table["samples"]) == [4, 2, 2, 0]
    np.testing.assert_allclose(table["precision"], [3 / 4, 1 / 2, 1, 0])
    np.testing.assert_allclose(table["recall"], [3 / 4, 1 / 2, 1 / 2, np.nan])
    np.testing.assert_allclose(table["f1"], [3 / 4, 1 / 2, 2 / 3, 0])
    assert list(table["confused with"]) == ["froh/heiter", "ängstlich", "müde", "-"]


def test_by_class_names_the_commonest_error_and_is_nan_if_unknown(by_hand):
    table = by_class(replace(by_hand, class_scores=one_hot([0, 2, 1, 1, 1, 2, 2, 2])))
    assert list(table["confused with"]) == ["froh/heiter", "wütend", "-", "-"]
    assert table.loc[3, ["precision", "recall", "f1"]].isna().all()
    perfect = by_class(replace(by_hand, class_scores=one_hot(by_hand.label)))
    assert list(perfect["confused with"]) == ["-"] * 4


def test_errors_average_to_one_minus_accuracy(by_hand):
    np.testing.assert_array_equal(errors(by_hand), [0, 0, 0, 1, 0, 1, 0, 1])
    np.testing.assert_array_equal(baseline_errors(by_hand), [0, 0, 0, 0, 1, 1, 1, 1])
    assert errors(by_hand).dtype == np.float64
    assert errors(by_hand).mean() == 1 - by_hand.scores()["test/accuracy"]


def test_save_and_load_are_exact_and_unpickled(by_hand, tmp_path):
    path = tmp_path / "run" / "predictions.npz"
    by_hand.save(path)
    loaded = ClassResult.load(path)
    assert loaded.classes == CLASSES
    assert loaded.majority == 0
    assert type(loaded.majority) is int
    for name in ("class_scores", "label", "index"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(by_hand, name), strict=True)
    assert list(loaded.readouts) == ["nearest centroid", "k/nn"]
    for name, values in by_hand.readouts.items():
        np.testing.assert_array_equal(loaded.readouts[name], values, strict=True)
    assert loaded.scores() == by_hand.scores()
    assert os.listdir(path.parent) == ["predictions.npz"]
    with np.load(path) as file:
        np.testing.assert_array_equal(file["scores"], by_hand.class_scores)
    bare = replace(by_hand, readouts={})
    bare.save(path)
    assert ClassResult.load(path).readouts == {}


def test_a_failed_write_leaves_the_old_file_whole(by_hand, tmp_path):
    path = tmp_path / "predictions.npz"
    by_hand.save(path)
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), replacing(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == before


def test_load_names_the_file_it_cannot_read(by_hand, tmp_path):
    with pytest.raises(UserError, match=r"absent\.npz does not exist"):
        ClassResult.load(tmp_path / "absent.npz")
    by_hand.save(tmp_path / "whole.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:300])
    (tmp_path / "text.npz").write_text("scores")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with open(tmp_path / "array.npz", "wb") as file:
        np.save(file, np.zeros(3))
    arrays = {name: np.asarray(getattr(by_hand, name)) for name in ("label", "index", "classes", "majority")}
    arrays["scores"] = by_hand.class_scores
    np.savez(tmp_path / "short.npz", **{**arrays, "label": arrays["label"][:5]})
    np.savez(tmp_path / "pickled.npz", allow_pickle=True, **{**arrays, "classes": np.array([{}])})
    for name in ("cut.npz", "text.npz", "other.npz", "array.npz", "short.npz", "pickled.npz"):
        with pytest.raises(UserError, match=f"{name} holds no classification result"):
            ClassResult.load(tmp_path / name)


def test_inconsistent_arrays_are_refused(by_hand):
    with pytest.raises(ValueError, match=r"index has shape \(3,\), labels and classes require \(8,\)"):
        replace(by_hand, index=np.arange(3))
    with pytest.raises(ValueError, match=r"class_scores has shape \(8, 3\)"):
        replace(by_hand, class_scores=np.zeros((8, 3)))
    with pytest.raises(ValueError, match="readout knn has shape"):
        replace(by_hand, readouts={"knn": np.zeros((7, 4))})
    with pytest.raises(ValueError, match="class_scores holds NaN"):
        replace(by_hand, class_scores=np.where(by_hand.class_scores > 0, np.nan, 0))
    for change in ({"majority": 4}, {"label": by_hand.label - 1}, {"label": by_hand.label + 2}):
        with pytest.raises(ValueError, match="4 classes"):
            replace(by_hand, **change)
