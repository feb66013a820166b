"""Out-of-distribution scores, and the sounds that they are tried on."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.accuracy import calibration


def test_scores_are_compared_within_a_fold_as_scikit_learn_compares_them(rng):
    """In the second fold every score is 100 higher: pooled, the first fold's sounds would all be let through."""
    folds = []
    for number in range(2):
        own = pd.DataFrame(
            {"kind": "held out", "name": [f"{number} {k}" for k in range(20)], "score": rng.normal(size=20)}
        )
        noise = pd.DataFrame({"kind": "noise", "name": [*"abcde"], "score": rng.normal(1.5, 1, 5).round(1)})
        folds.append(pd.concat([own, noise]).assign(fold=number))
    scores = pd.concat(folds)
    areas = [roc_auc_score(fold["kind"] == "noise", fold["score"]) for fold in folds]
    shifted = scores.assign(score=scores["score"] + 100 * scores["fold"])
    for table in (scores, shifted):
        found = calibration.told_apart(table, "score", "noise")
        assert found["auroc"] == pytest.approx(np.mean(areas))
        assert 0 < found["auroc_low"] < found["auroc"] < found["auroc_high"] <= 1
    own, noise = (scores.loc[scores["kind"] == kind, "score"] for kind in ("held out", "noise"))
    passed = calibration.told_apart(scores, "score", "noise")["passed"]
    assert passed == pytest.approx((noise <= np.quantile(own, 0.95)).mean())
    assert (found["sounds"], found["tracks"]) == (5, 40)


def test_strange_sounds_are_as_long_as_a_clip_and_go_by_other_names(monkeypatch, capsys):
    monkeypatch.setattr(calibration.shutil, "which", lambda _: None)
    monkeypatch.setattr(calibration, "SECONDS", 1.0)
    sounds = list(calibration.strange_sounds(22_050))
    assert "espeak-ng is not there" in capsys.readouterr().out
    assert len({(kind, name) for kind, name, _ in sounds}) == len(sounds) == 31
    for _, _, samples in sounds:
        assert samples.shape == (22_050,) and 0 < np.abs(samples).max() <= 1.01
    powers = np.abs(np.fft.rfft(calibration.coloured(np.random.default_rng(0), 2**16, 1))) ** 2
    low, high = powers[500:1_000].mean(), powers[4_000:8_000].mean()
    assert low / high == pytest.approx(8, rel=0.2)  # pink: half the power at twice the frequency
    room = calibration.in_a_room(np.eye(1, 22_050)[0], np.random.default_rng(0), 22_050)
    assert np.abs(room[:300]).max() == pytest.approx(0.8) and np.abs(room[20_000:]).max() < 0.1
