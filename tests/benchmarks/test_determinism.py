"""What counts as the same result of two runs."""

import json
import shutil

import pandas as pd
import tiny  # noqa: F401  (it makes tiny_cnn known)

from benchmarks.reliability import determinism
from genre_utils.models import factory
from genre_utils.params import Params


def test_two_runs_are_the_same_but_for_seconds_and_places(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    (one / "figures").mkdir(parents=True)
    for name in ("split.csv", "history.csv"):
        (one / name).write_text("epoch,loss,seconds\n1,0.123456789012345,2.0\n")
    for name in ("tracks.parquet", "predictions.parquet"):
        pd.DataFrame({"p": [0.25], "path": ["/here/a.wav"]}).to_parquet(one / name)
    (one / "params.yml").write_text("seed: 0\n")
    (one / "metrics.json").write_text(json.dumps({"seed": 0, "seconds": {"train": 1}}))
    (one / "figures" / "curves.png").write_bytes(b"png")
    params = Params(model="tiny_cnn", image_height=16, image_width=16, max_segments=1)
    factory.build(params, 2).save(one / "model.keras")
    shutil.copytree(one, other)
    (other / "metrics.json").write_text(json.dumps({"seconds": {"train": 2}, "seed": 0}))
    (other / "history.csv").write_text("epoch,loss,seconds\n1,0.123456789012345,3.0\n")
    pd.DataFrame({"p": [0.25], "path": ["/there/a.wav"]}).to_parquet(other / "predictions.parquet")
    assert set(determinism.compared(one, other)) == {*determinism.NEEDED, "figures/curves.png"}
    assert all(determinism.compared(one, other).values())
    (other / "history.csv").write_text("epoch,loss,seconds\n1,0.123456789012346,3.0\n")
    (other / "figures" / "curves.png").write_bytes(b"gnp")
    network = factory.load(other / "model.keras")
    network.set_weights([weights + 1e-7 for weights in network.get_weights()])
    network.save(other / "model.keras")
    (one / "split.csv").unlink()
    found = determinism.compared(one, other)
    assert {name for name, same in found.items() if not same} == {
        "history.csv", "figures/curves.png", "model.keras", "split.csv",
    }  # fmt: skip
