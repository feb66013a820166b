import dataclasses
import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny  # noqa: F401  (registers the network that these tests train)
import yaml
from bounds import U, of_network, of_shares
from sklearn.metrics import log_loss

from genre_utils.datasets import labels
from genre_utils.errors import DiskError, ParamsError
from genre_utils.evaluation import scoring, uncertainty
from genre_utils.models import factory, fused
from genre_utils.system import disk
from genre_utils.training import recipe, trainer

GENRES = ["bass", "noise", "treble"]


@pytest.fixture(autouse=True, scope="module")
def every_epoch_is_saved():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "SECONDS_BETWEEN_SAVES", 0)
        yield


@pytest.fixture(scope="module")
def tiny_params(params):
    return dataclasses.replace(params, model="tiny_cnn")


TRAIN = """
import sys, time, yaml, tiny
from pathlib import Path
from genre_utils.features import store
from genre_utils.training import trainer
from genre_utils.params import Params
import pandas as pd
params = Params.from_mapping(yaml.safe_load(sys.argv[1]))
folder = Path(sys.argv[3])
trainer.SECONDS_BETWEEN_SAVES = 0
on_epoch_begin = trainer.State.on_epoch_begin
def slow(self, epoch, logs=None):
    time.sleep(1_000 * epoch)  # in the second epoch it waits to be killed
    on_epoch_begin(self, epoch, logs)
trainer.State.on_epoch_begin = slow
trainer.train(
    store.open_store(Path(sys.argv[2])), pd.read_csv(folder / "split.csv"), ["bass", "noise", "treble"],
    params, folder, folder,
)
"""


@pytest.fixture(scope="module")
def to_be_killed(built, assignment, tiny_params, tmp_path_factory):
    """A training in a process of its own, that waits after its first epoch; and its folder."""
    folder = tmp_path_factory.mktemp("killed")
    assignment.to_csv(folder / "split.csv", index=False)
    words = [sys.executable, "-c", TRAIN, yaml.safe_dump(tiny_params.to_mapping()), str(built.folder), str(folder)]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(words, cwd=Path(__file__).parents[1], **silent)
    yield folder, process
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def undisturbed(request, built, assignment, tiny_params, tmp_path_factory):
    """A whole training whose state stays on disk, as after a kill between its last epoch and its end."""
    request.getfixturevalue("to_be_killed")  # that process imports TensorFlow while this one trains
    folder = tmp_path_factory.mktemp("undisturbed")

    def kept(path, **_):
        if Path(path).suffix == ".done" and Path(path).exists():
            Path(path).rename(Path(path).with_suffix(""))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer.shutil, "rmtree", kept)
        return folder, trainer.train(built, assignment, GENRES, tiny_params, folder, folder)


def test_the_history_is_complete(undisturbed):
    folder, history = undisturbed
    assert history["epoch"].tolist() == [1, 2, 3]
    assert np.isfinite(history).all(axis=None)
    pd.testing.assert_frame_equal(pd.read_csv(folder / "history.csv"), history)


def test_a_training_killed_after_its_last_epoch_does_not_train_again(
    built, assignment, tiny_params, undisturbed, tmp_path, monkeypatch
):
    folder, history = undisturbed
    shutil.copytree(folder / "training", tmp_path / "training")
    monkeypatch.setattr(trainer.keras.Model, "fit", lambda *_, **__: pytest.fail("trained again"))
    again = trainer.train(built, assignment, GENRES, tiny_params, tmp_path, tmp_path)
    pd.testing.assert_frame_equal(again, history)
    assert same_weights(tmp_path, folder)
    assert not [path for path in (tmp_path / "training").iterdir() if path.is_dir()]  # the state is gone now


def test_a_damaged_state_is_told_and_the_one_before_it_is_used(tiny_params, undisturbed, tmp_path):
    folder, history = undisturbed
    shutil.copytree(folder / "training", tmp_path / "training")
    first, second, third = sorted(tmp_path.glob("training/*/epoch-000?"))
    shutil.rmtree(first)
    model = recipe.compiled(factory.build(tiny_params, 3), tiny_params)
    for state, name, rest in ((third, "last.npz", 2), (second, "state.json", 0)):
        content = bytearray((state / name).read_bytes())
        content[len(content) // 2] ^= 1
        (state / name).write_bytes(content)
        instead = "after epoch-0002" if rest else "from the beginning"
        with pytest.warns(UserWarning, match=rf"{state.name}: {name} damaged or missing\. Training resumes {instead}"):
            found = trainer.State(third.parent, model, tiny_params)
        assert [row["loss"] for row in found.history] == history["loss"].tolist()[:rest]
    assert not list(third.parent.iterdir())


def test_a_full_disk_leaves_the_last_state_and_no_torn_one(tiny_params, tmp_path, monkeypatch):
    model = recipe.compiled(factory.build(tiny_params, 3), tiny_params)
    state = trainer.State(tmp_path, model, tiny_params)
    state.set_model(model)
    for epoch in range(3):
        state.on_epoch_begin(epoch)
        if epoch == 2:
            monkeypatch.setattr(trainer.np, "savez", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
            with pytest.raises(DiskError, match=r"cannot be written: No space left"):
                state.on_epoch_end(epoch, {"val_accuracy": 0.5})
        else:
            state.on_epoch_end(epoch, {"val_accuracy": 0.5})
    assert not disk.broken(tmp_path / "epoch-0002")
    assert len(trainer.State(tmp_path, model, tiny_params).history) == 2


def test_a_clock_before_zip_began_is_told_before_the_training(built, assignment, tiny_params, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer.time, "localtime", lambda: time.gmtime(0))
    with pytest.raises(DiskError, match=r"The clock of this machine shows .* Set the clock"):
        trainer.train(built, assignment, GENRES, tiny_params, tmp_path, tmp_path)


def same_weights(one, other):
    pairs = zip(*(factory.load(folder / "model.keras").get_weights() for folder in (one, other)), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def test_low_tones_high_tones_and_noise_are_learnt(built, assignment, params, tmp_path):
    longer = dataclasses.replace(params, max_epochs=5, bn_momentum=0.5)
    trainer.train(built, assignment, GENRES, longer, tmp_path, tmp_path)
    network = factory.load(tmp_path / "model.keras")
    predictions = scoring.predict(network, built, assignment, GENRES, longer)
    assert uncertainty.accuracy(predictions)["accuracy"] > 0.9
    assert set(predictions["split"]) == {"validation", "test"}
    assert predictions.columns.tolist() == [
        "track_id", "segment", "start_seconds", "split", "genre", "predicted",
        "p_bass", "p_noise", "p_treble", "artist", "path",
    ]  # fmt: skip
    np.testing.assert_allclose(predictions.filter(like="p_").sum(axis=1), 1, atol=of_shares(3))


def test_patience_scheduler_and_the_best_epoch(built, assignment, tiny_params, tmp_path, monkeypatch):
    """Validation is dictated: only the first epoch's loss is an improvement, the third has the best accuracy."""
    stopping, weights, killed = trainer.keras.callbacks.EarlyStopping, {}, tmp_path / "killed"
    on_epoch_end = stopping.on_epoch_end

    def dictated(self, epoch, logs=None):
        if epoch == 4 and not killed.exists():  # what a kill in the fifth epoch leaves
            shutil.copytree(tmp_path / "training", killed / "training")
        accuracy = [0.1, 0.2, 0.7, 0.7, 0.3, 0.6][epoch]
        logs |= {"val_loss": 2.0 if epoch else 1.0, "val_accuracy": accuracy}  # the callbacks share one dictionary
        weights[epoch] = self.model.get_weights()
        on_epoch_end(self, epoch, logs)

    monkeypatch.setattr(stopping, "on_epoch_end", dictated)
    longer = dataclasses.replace(tiny_params, max_epochs=20)
    for folder in (tmp_path, killed):
        history = trainer.train(built, assignment, GENRES, longer, folder, folder)
        assert history["epoch"].tolist() == [1, 2, 3, 4, 5, 6]  # the best, and five more
        rates = history["learning_rate"] / longer.learning_rate
        np.testing.assert_allclose(rates, [1, 1, 1, 0.5, 0.5, 0.25], rtol=4 * U)
        kept = factory.load(folder / "model.keras").get_weights()
        equal = [all(np.array_equal(a, b) for a, b in zip(kept, weights[epoch], strict=True)) for epoch in range(6)]
        assert equal == [False, False, True, False, False, False]


def test_an_epoch_is_saved_only_if_the_last_save_is_old(tiny_params, tmp_path, monkeypatch):
    model = recipe.compiled(factory.build(tiny_params, 3), tiny_params)
    root = tmp_path / "gone"  # as the end of another training of the same kind leaves it, while this one waits
    state = trainer.State(root, model, tiny_params)
    state.set_model(model)
    for epoch, (seconds, written) in enumerate([(1e9, []), (0, ["epoch-0002"]), (1e9, ["epoch-0002"])]):
        monkeypatch.setattr(trainer, "SECONDS_BETWEEN_SAVES", seconds)
        state.on_epoch_begin(epoch)
        state.on_epoch_end(epoch, {"val_accuracy": 0.5})
        assert [path.name for path in root.glob("*")] == written


def test_a_killed_training_goes_on_and_ends_as_an_undisturbed_one(
    built, assignment, tiny_params, undisturbed, to_be_killed
):
    killed, process = to_be_killed
    while not list(killed.glob("training/*/epoch-0001")):
        assert process.poll() is None, "the training ended before it could be killed"
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (killed / "model.keras").exists()

    history = trainer.train(built, assignment, GENRES, tiny_params, killed, killed)
    folder, expected = undisturbed
    pd.testing.assert_frame_equal(history.drop(columns="seconds"), expected.drop(columns="seconds"))
    assert same_weights(killed, folder)


@pytest.fixture(scope="module")
def beyond(tiny_params):
    """With all that the paper has not: what is kept, averaged, mixed and moved must survive a kill too."""
    return dataclasses.replace(
        tiny_params, schedule="cosine", max_epochs=3, weight_decay=0.01, ema_decay=0.5, crop=True, shift_bands=2,
        equalise_db=3.0, mask_bands=8, mask_seconds=0.1, mixup_alpha=0.4,
    )  # fmt: skip


def test_an_interrupted_augmented_training_ends_as_an_undisturbed_one_and_keeps_its_last_epoch(
    built, assignment, beyond, tmp_path, monkeypatch, capsys
):
    end, averaged = trainer.State.on_epoch_end, {}

    def noted(self, epoch, logs=None):
        end(self, epoch, logs)
        averaged[epoch] = self.model.get_weights()
        if epoch == 1:  # what a kill in the third epoch leaves
            shutil.copytree(tmp_path / "one" / "training", tmp_path / "other" / "training")

    monkeypatch.setattr(trainer.State, "on_epoch_end", noted)
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    undisturbed = trainer.train(built, assignment, GENRES, beyond, tmp_path / "one", tmp_path / "one")
    kept = factory.load(tmp_path / "one" / "model.keras").get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(kept, averaged[2], strict=True))
    network = factory.load(tmp_path / "one" / "model.keras")
    predictions = scoring.predict(network, built, assignment, GENRES, beyond).query("split == 'validation'")
    shares = predictions[[f"p_{genre}" for genre in GENRES]].to_numpy(float)
    loss = log_loss(predictions["genre"], shares / shares.sum(axis=1, keepdims=True), labels=GENRES)
    off = (of_network(network, built.features) + of_shares(3)) / shares.min()  # of a logarithm
    assert loss == pytest.approx(undisturbed["val_loss"].iloc[-1], abs=off)  # the averaged weights were validated

    capsys.readouterr()
    resumed = trainer.train(built, assignment, GENRES, beyond, tmp_path / "other", tmp_path / "other")
    assert "resuming after epoch 2" in capsys.readouterr().out
    pd.testing.assert_frame_equal(resumed.drop(columns="seconds"), undisturbed.drop(columns="seconds"))
    assert same_weights(tmp_path / "one", tmp_path / "other")


def test_two_genres_need_an_answer_for_each(built, assignment, tiny_params, tmp_path):
    several = dataclasses.replace(
        built, tracks=built.tracks.assign(genre=built.tracks["genre"].replace("bass", "bass|noise"))
    )
    with pytest.raises(ParamsError, match=r"bass/.* has several genres, but softmax predicts exactly one. Set output"):
        trainer.train(several, assignment, GENRES, tiny_params, tmp_path, tmp_path)
    both = dataclasses.replace(tiny_params, output="sigmoid", schedule="cosine", max_epochs=12, learning_rate=0.02)
    trainer.train(several, assignment, GENRES, both, tmp_path, tmp_path)
    predictions = scoring.predict(factory.load(tmp_path / "model.keras"), several, assignment, GENRES, both)
    truth = labels.targets(predictions["genre"], GENRES)
    answers = predictions[[f"p_{genre}" for genre in GENRES]].to_numpy()
    assert answers[truth == 1].mean() > answers[truth == 0].mean() + 0.2
    assert answers[truth[:, 0] == 1].sum(axis=1).mean() > 1.2  # two genres, which a softmax could not say


def test_a_training_on_other_versions_of_the_sound_is_another_training(built, assignment, tiny_params):
    extra = built.segments.assign(augmentation="pitch +1.00")
    wide = dataclasses.replace(built, segments=pd.concat([built.segments, extra], ignore_index=True))
    names = {trainer.fingerprint(store, assignment, GENRES, tiny_params) for store in (built, wide)}
    assert len(names) == 2


@pytest.mark.parametrize("gpus", [[], ["a GPU"]])
def test_on_a_gpu_every_operation_is_that_of_keras(built, assignment, tiny_params, tmp_path, monkeypatch, gpus):
    """The fused gradient of batch normalisation takes the variance on a CPU and something else on a GPU."""
    made = []
    monkeypatch.setattr(trainer.pipeline, "gpus", lambda: gpus)
    monkeypatch.setattr(fused, "network", lambda plain: made.append(plain) or plain)
    monkeypatch.delattr(trainer.distribution, "fit")  # one GPU is one device, for Keras' own loop
    params = dataclasses.replace(tiny_params, max_epochs=1)
    trainer.train(built, assignment, GENRES, params, tmp_path, tmp_path / "cache", quiet=True)
    assert len(made) == (not gpus)
