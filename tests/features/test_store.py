import dataclasses
import errno
import hashlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor

import joblib
import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml
from bounds import HALF
from conftest import tone

from genre_utils.audio import augmentation, decoding
from genre_utils.datasets import catalog, contents
from genre_utils.errors import CatalogError, DiskError, WorkerError
from genre_utils.features import extraction, journal, plan, spectrogram, store
from genre_utils.params import FEATURE_NAMES
from genre_utils.splits import survey
from genre_utils.system import disk


@pytest.fixture(scope="module")
def tracks(genre_folder, params):
    return catalog.from_folder(genre_folder, params)


@pytest.fixture(scope="module")
def loud(params):
    """Three versions of every track besides itself."""
    return dataclasses.replace(params, pitch_semitones=2.0, stretch_share=0.2, noise_snr_db=20.0)


@pytest.fixture(scope="module")
def versioned(tracks, loud, tmp_path_factory):
    return store.build(tracks, loud, tmp_path_factory.mktemp("versioned"))


def test_the_store_holds_what_features_computes(tracks, params, tmp_path):
    built = store.build(tracks, params, tmp_path)
    assert built.features.shape == (96, params.n_mels, params.frames_per_segment)
    assert built.features.dtype == np.float16
    for track_id, rows in built.segments.groupby("track_id")["row"]:
        path = tracks.set_index("track_id")["path"][track_id]
        expected = spectrogram.log_mel(spectrogram.segments(decoding.load(path, params), params), params)
        np.testing.assert_allclose(built.features[rows], expected, atol=80 * HALF)
    assert built.segments.columns.tolist() == ["row", "track_id", "segment", "start_seconds", "augmentation"]
    assert built.segments["start_seconds"].tolist()[:4] == [0.0, 0.5, 1.0, 1.5]


@pytest.mark.usefixtures("threads_parse_nothing")
def test_threads_read_no_header(tracks, params, tmp_path):
    assert len(store.build(tracks, params, tmp_path).segments) == 96


def test_what_is_there_is_not_computed_again(tracks, params, tmp_path, monkeypatch):
    first = store.build(tracks, params, tmp_path)
    monkeypatch.setattr(store, "extract", lambda *_: pytest.fail("computed again"))
    assert store.build(tracks, params, tmp_path).folder == first.folder


def test_other_parameters_or_files_are_another_store(tracks, params, tmp_path):
    name = store.fingerprint(tracks, params)
    assert store.fingerprint(tracks, dataclasses.replace(params, n_mels=16)) != name
    assert store.fingerprint(tracks[1:], params) != name
    assert store.fingerprint(tracks, dataclasses.replace(params, learning_rate=0.1, image_width=64)) == name
    copy = tracks.assign(path=[shutil.copy2(path, tmp_path) for path in tracks["path"]])
    assert store.fingerprint(copy, params) == name  # the same files elsewhere
    os.utime(copy["path"][0])
    assert store.fingerprint(copy, params) != name


def test_faults_found_by_decoding_are_named_and_nothing_else_is_lost(genre_folder, params, tmp_path):
    music = tmp_path / "music"
    shutil.copytree(genre_folder, music)
    soundfile.write(music / "bass" / "nan.wav", np.full(20_000, np.nan), 8_000, subtype="FLOAT")
    soundfile.write(music / "bass" / "silent.wav", np.zeros(20_000), 8_000)
    (music / "noise" / "text.wav").write_text("no music")
    tracks = catalog.from_folder(music, params)
    built = store.build(tracks, params, tmp_path)
    surveyed, spectra, fingerprints = survey.survey(tracks, params)
    for table in (built.tracks, surveyed):
        faults = contents.faults(table).set_index("track_id")["fault"]
        assert set(faults.index) == {"bass/nan.wav", "bass/silent.wav", "noise/text.wav"}
        assert "NaN" in faults["bass/nan.wav"]
        assert "silent" in faults["bass/silent.wav"]
    assert len(built.segments) == 96
    assert len(spectra) == len(fingerprints) == 24
    assert set(built.segments["track_id"]) == set(contents.usable(built.tracks)["track_id"])
    assert (built.features[built.segments["row"]].min(axis=(1, 2)) < -10).all()  # rows point at features, not at gaps


@pytest.mark.parametrize(("room", "worker"), [(extraction, "extract_track"), (survey, "survey_track")])
def test_tracks_share_this_process(tracks, params, tmp_path, monkeypatch, room, worker):
    seen = []

    def watched(*arguments):
        seen.append(arguments)
        return work(*arguments)

    work = getattr(room, worker)
    monkeypatch.setattr(room, worker, watched)
    store.build(tracks, params, tmp_path) if room is extraction else survey.survey(tracks, params)
    assert len(seen) == len(contents.usable(tracks))  # in a process of its own it would have been another list


FAULTS = """
import resource, sys
from pathlib import Path
import joblib, numpy as np
from genre_utils.features import extraction
from genre_utils.audio import augmentation
from genre_utils.params import Params
folder, params = Path(sys.argv[1]), Params()
np.lib.format.open_memmap(folder / "features.npy", "w+", np.float16, (6, 128, 216)).flush()
block = extraction.Block("a.wav", str(folder / "a.wav"), augmentation.ORIGINAL, 0, 6)
threads = joblib.Parallel(2, prefer="threads")
with threads:
    for tracks in (8, 24):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        threads(joblib.delayed(extraction.extract_track)(block, folder / "features.npy", params) for _ in range(tracks))
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 24)
"""


def test_survey_measures_level_and_clipping(params, tmp_path):
    (tmp_path / "a").mkdir()
    square = np.sign(np.sin(2 * np.pi * 50 * np.arange(20_000) / 8_000) + 1e-9)
    soundfile.write(tmp_path / "a" / "loud.wav", square, 8_000)
    soundfile.write(tmp_path / "a" / "quiet.wav", square / 10, 8_000)
    table = pd.DataFrame({"path": ["a/loud.wav", "a/quiet.wav"], "genre": ["a", "a"]})
    table.to_csv(tmp_path / "tracks.csv", index=False)
    surveyed, _, _ = survey.survey(catalog.from_csv(tmp_path / "tracks.csv", params), params)
    np.testing.assert_allclose(surveyed["level_dbfs"], [0, -20], atol=20 / np.log(10) / 3_276)  # a step of 16 bits
    assert surveyed["clipped_share"].tolist() == [1.0, 0.0]


def test_no_usable_track_is_an_error_with_the_reasons(params, tmp_path):
    for genre in ("a", "b"):
        (tmp_path / genre).mkdir()
        soundfile.write(tmp_path / genre / "silent.wav", np.zeros(20_000), 8_000)
    with pytest.raises(CatalogError, match=r"(?s)None of the 2 tracks gives a segment.*silent throughout"):
        store.build(catalog.from_folder(tmp_path, params), params, tmp_path / "cache")


def test_without_versions_a_store_keeps_the_name_it_always_had(tracks, params):
    files = [(stat.st_size, stat.st_mtime_ns) for stat in map(os.stat, tracks["path"])]
    table = tracks[["track_id", "fault", "duration_seconds"]].to_dict("records")
    facts = [1, {name: getattr(params, name) for name in FEATURE_NAMES}, files, table]
    name = hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest()[:16]
    assert store.fingerprint(tracks, params) == name
    assert store.fingerprint(tracks, dataclasses.replace(params, seed=1)) == name


def test_versions_and_their_seed_name_the_store(tracks, params):
    chosen = [params]
    for name in ("pitch_semitones", "stretch_share", "noise_snr_db"):
        chosen += [dataclasses.replace(params, **{name: amount}) for amount in (0.1, 0.2)]
        chosen.append(dataclasses.replace(chosen[-1], seed=1))
    assert len({store.fingerprint(tracks, one) for one in chosen}) == 10


def test_versions_follow_the_originals_and_change_nothing_in_them(built, versioned):
    assert versioned.features[:96].tobytes() == built.features.tobytes()
    pd.testing.assert_frame_equal(versioned.segments[:96], built.segments)
    assert (versioned.segments["augmentation"][96:] != "").all()
    pd.testing.assert_frame_equal(versioned.tracks, built.tracks)
    assert len(built.versions) == built.augment_seconds == 0
    assert not (built.folder / "versions.parquet").exists()


def test_the_rows_of_a_version_are_the_log_mels_of_its_sound(tracks, versioned, loud):
    rows = versioned.segments.set_index(["track_id", "augmentation"])
    for track_id, path in zip(tracks["track_id"], tracks["path"], strict=True):
        for version in augmentation.versions(track_id, loud):
            samples = decoding.load(path, loud, seconds=2.0 * max(1.0, version.rate))
            sound = augmentation.render(samples, version, track_id, loud)
            expected = spectrogram.log_mel(spectrogram.segments(sound, loud), loud)
            found = rows.loc[[(track_id, str(version))]]
            # 2.2 s played more than a tenth faster are less than four segments
            assert len(found) == len(expected) == loud.segments_in(2.2 / version.rate) == 3 + (version.rate <= 1.1)
            assert found["segment"].tolist() == list(range(len(found)))
            assert found["start_seconds"].tolist() == [0.0, 0.5, 1.0, 1.5][: len(found)]
            np.testing.assert_allclose(versioned.features[found["row"]], expected, atol=80 * HALF)
    assert versioned.segments["row"].is_monotonic_increasing
    assert versioned.segments["row"].tolist() == list(range(len(versioned.features)))
    assert len(versioned.segments) < 4 * 96  # some are faster than that


def test_the_store_says_what_its_versions_are_and_cost(tracks, versioned, loud):
    facts = json.loads((versioned.folder / "params.json").read_text())
    assert {name: facts[name] for name in ("pitch_semitones", "stretch_share", "noise_snr_db", "seed")} == {
        "pitch_semitones": 2.0, "stretch_share": 0.2, "noise_snr_db": 20.0, "seed": 0,
    }  # fmt: skip
    drawn = [(track_id, str(one)) for track_id in tracks["track_id"] for one in augmentation.versions(track_id, loud)]
    assert list(zip(versioned.versions["track_id"], versioned.versions["augmentation"], strict=True)) == drawn
    assert versioned.versions["segments"].sum() == (versioned.segments["augmentation"] != "").sum()
    assert (versioned.versions["fault"] == "").all()
    assert (versioned.versions["seconds"] > 0).all()
    assert versioned.augment_seconds == facts["augment_seconds"] == pytest.approx(versioned.versions["seconds"].sum())


def test_neither_workers_nor_the_order_of_tracks_change_a_version(tracks, versioned, loud, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    alone = store.build(tracks[::-1], loud, tmp_path)
    keys = ["track_id", "augmentation", "segment"]
    first, second = (one.segments.sort_values(keys, ignore_index=True) for one in (alone, versioned))
    pd.testing.assert_frame_equal(first[keys], second[keys])
    assert first["row"].tolist() != second["row"].tolist()
    assert alone.features[first["row"]].tobytes() == versioned.features[second["row"]].tobytes()


def test_a_version_shorter_than_a_segment_is_told_and_its_track_kept(params, tmp_path):
    for genre in ("a", "b"):
        (tmp_path / genre).mkdir()
        for number in range(4):
            soundfile.write(tmp_path / genre / f"{number}.wav", tone(440, 0.55, 8_000), 8_000)
    soundfile.write(tmp_path / "a" / "nan.wav", np.full(20_000, np.nan), 8_000, subtype="FLOAT")
    stretching = dataclasses.replace(params, stretch_share=0.3)
    with pytest.warns(
        UserWarning, match=r"of 8 augmented versions gave no segment.*: [ab]/\d.wav, stretch 1\.\d+: holds"
    ):
        built = store.build(catalog.from_folder(tmp_path, params), stretching, tmp_path / "cache")
    rates = {
        f"{genre}/{n}.wav": augmentation.versions(f"{genre}/{n}.wav", stretching)[0].rate
        for genre in "ab"
        for n in range(4)
    }
    fast = {track_id for track_id, rate in rates.items() if rate > 1.1}
    assert 0 < len(fast) < 8
    versions = built.versions.set_index("track_id")
    assert set(versions.index) == set(rates)  # what cannot be decoded is told once, in tracks
    assert set(versions.index[versions["fault"] != ""]) == set(versions.index[versions["segments"] == 0]) == fast
    assert versions["fault"][min(fast)] == decoding.too_short(0.55 / rates[min(fast)], params)
    segments = built.segments.groupby("augmentation")["track_id"].apply(set)
    assert segments.pop("") == set(rates)
    assert set.union(*segments) == set(rates) - fast


def test_a_faster_version_takes_more_of_a_longer_track(tracks, params, tmp_path):
    stretching = dataclasses.replace(params, stretch_share=0.3, max_segments=2)
    built = store.build(tracks[:8], stretching, tmp_path)
    assert (built.versions["segments"] == 2).all()
    assert len(built.features) == 32


def test_a_version_that_goes_wrong_is_a_fault_and_no_end(tracks, params, tmp_path, monkeypatch):
    monkeypatch.setattr(augmentation, "render", lambda samples, *_: samples * np.float32(np.inf))
    block = plan.blocks_of(tracks[:1], dataclasses.replace(params, noise_snr_db=20.0))[-1]
    outcome = extraction.extract_track(block, tmp_path / "features.npy", params)
    assert outcome[:3] == ("bass/bass.00000.wav", "noise 20 dB", 0)
    assert "finite" in outcome.fault
    done = {(block.track_id, ""): outcome._replace(augmentation="", segments=4, fault="")}
    told = extraction.explain(
        tracks[:1], done | {(block.track_id, "noise 20 dB"): outcome}
    )  # as a resumed extraction does
    assert told["fault"].tolist() == [""]


def test_a_track_longer_than_its_header_says_keeps_to_its_own_rows(tracks, params, tmp_path):
    mapped = np.lib.format.open_memmap(tmp_path / "features.npy", "w+", np.float16, (4, 32, 32))
    block = plan.blocks_of(tracks[:1], params)[0]._replace(room=2)
    assert extraction.extract_track(block, tmp_path / "features.npy", params).segments == 2
    assert (mapped != 0).any(axis=(1, 2)).tolist() == [True, True, False, False]


EXTRACT = """
import sys, yaml
from pathlib import Path
from genre_utils.datasets import catalog
from genre_utils.features import extraction, store
from genre_utils.params import Params
params = Params.from_mapping(yaml.safe_load(sys.argv[1]))
extract_track = extraction.extract_track
def slow(block, *arguments):
    import time
    time.sleep(0.1 * bool(str(block.version)))
    return extract_track(block, *arguments)
extraction.extract_track = slow
store.build(catalog.from_folder(Path(sys.argv[2]), params), params, Path(sys.argv[3]))
"""


def test_a_killed_extraction_goes_on_and_gives_the_same_bytes(genre_folder, tracks, params, tmp_path):
    params = dataclasses.replace(params, noise_snr_db=20.0)
    undisturbed = store.build(tracks, params, tmp_path / "undisturbed")
    arguments = [sys.executable, "-c", EXTRACT, yaml.safe_dump(params.to_mapping()), str(genre_folder), str(tmp_path)]
    process = subprocess.Popen(arguments, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    partial = undisturbed.folder.with_suffix(".partial")
    partial = tmp_path / "features" / partial.name
    while not ((partial / journal.NAME).exists() and (partial / journal.NAME).read_text().count("\n") >= 27):
        assert process.poll() is None, "the extraction ended before it could be killed"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert 27 <= len(journal.read(partial)) < 48
    with (partial / journal.NAME).open("a") as lines:
        lines.write('["bass/bass.00007.wav", 4, ""]\n')  # of another layout of the journal
        lines.write('["torn')  # a kill in the middle of a line

    resumed = store.build(tracks, params, tmp_path)
    assert (resumed.folder / "features.npy").read_bytes() == (undisturbed.folder / "features.npy").read_bytes()
    pd.testing.assert_frame_equal(resumed.segments, undisturbed.segments)
    pd.testing.assert_frame_equal(
        resumed.versions.drop(columns="seconds"), undisturbed.versions.drop(columns="seconds")
    )


@pytest.fixture
def interrupted(tracks, versioned, loud, tmp_path):
    """A partial store of so many finished blocks, the rows of the others still empty."""

    def leave(done):
        partial = tmp_path / "features" / f"{versioned.folder.name}.partial"
        partial.mkdir(parents=True)
        shutil.copy(versioned.folder / "features.npy", partial)
        mapped = np.load(partial / "features.npy", mmap_mode="r+")
        noted = {}
        for number, block in enumerate(plan.blocks_of(tracks, loud)):
            rows = mapped[block.row : block.row + block.room]
            if number < done:
                outcome = journal.Outcome(*block.key, block.room, "", 10.0, 0)
                noted[block.key] = outcome._replace(checksum=journal.checksum(outcome, rows.tobytes()))
            else:
                rows[:] = 0
        journal.write(noted, partial)

    return leave


@pytest.mark.parametrize("done", [10, 60])  # of 24 tracks and 72 versions
def test_what_is_missing_is_made_wherever_it_stopped(interrupted, tracks, versioned, loud, tmp_path, done):
    interrupted(done)
    resumed = store.build(tracks, loud, tmp_path)
    assert (resumed.folder / "features.npy").read_bytes() == (versioned.folder / "features.npy").read_bytes()
    pd.testing.assert_frame_equal(resumed.segments, versioned.segments)
    assert resumed.augment_seconds > 10.0 * max(0, done - 24)  # what was spent before the kill counts


def test_resuming_does_not_repeat_what_is_done(interrupted, tracks, versioned, loud, tmp_path, monkeypatch):
    interrupted(24 + 72)
    monkeypatch.setattr(extraction, "extract_track", lambda *_: pytest.fail("done already"))
    pd.testing.assert_frame_equal(store.build(tracks, loud, tmp_path).segments, versioned.segments)


def test_rows_that_never_reached_the_disk_are_made_again(interrupted, tracks, versioned, loud, tmp_path, capsys):
    """As a power cut may leave it: the journal says that a block is done, and its rows are zeros."""
    interrupted(60)
    partial = tmp_path / "features" / f"{versioned.folder.name}.partial"
    np.load(partial / "features.npy", mmap_mode="r+")[5:14] = 0  # of the tracks 1 to 3
    resumed = store.build(tracks, loud, tmp_path)
    assert "57 of 96 blocks are already extracted; 3 are damaged" in capsys.readouterr().out
    assert (resumed.folder / "features.npy").read_bytes() == (versioned.folder / "features.npy").read_bytes()


def turn_a_bit(file, place):
    content = bytearray(file.read_bytes())
    content[place] ^= 4
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "place", "again"),
    [
        ("features.npy", -1, 1),
        ("features.npy", 60, 0),  # its shape
        ("segments.parquet", 100, 0),
        ("params.json", 20, 0),
        ("done.jsonl", 5, 1),  # the name of a track
        ("checksums.json", 5, 0),
    ],
)
def test_a_damaged_store_is_told_and_only_what_differs_is_made_again(
    built, tracks, params, tmp_path, monkeypatch, name, place, again
):
    folder = tmp_path / "features" / built.folder.name
    shutil.copytree(built.folder, folder)
    turn_a_bit(folder / name, place)
    extract_track, made = extraction.extract_track, []
    monkeypatch.setattr(extraction, "extract_track", lambda *words: made.append(words) or extract_track(*words))
    with pytest.warns(UserWarning, match=rf"The store {folder} is damaged; the damaged parts are extracted again: .*"):
        mended = store.build(tracks, params, tmp_path)
    assert len(made) == again
    for file in ("features.npy", "segments.parquet", "tracks.parquet"):
        assert (mended.folder / file).read_bytes() == (built.folder / file).read_bytes()
    store.build(tracks, params, tmp_path)  # whole again: without a warning


def test_a_store_cut_short_is_made_again(built, tracks, params, tmp_path):
    folder = tmp_path / "features" / built.folder.name
    shutil.copytree(built.folder, folder)
    os.truncate(folder / "features.npy", 100_000)
    with pytest.warns(UserWarning, match=r"features\.npy is cut off"):
        store.build(tracks, params, tmp_path)
    assert (folder / "features.npy").read_bytes() == (built.folder / "features.npy").read_bytes()


def test_a_whole_store_is_opened_where_nothing_can_be_written(built, tracks, params, monkeypatch):
    monkeypatch.setattr(disk, "lock", lambda *_: pytest.fail("wrote a lock"))
    assert store.build(tracks, params, built.folder.parents[1]).folder == built.folder


def test_a_full_disk_is_no_fault_of_a_track_and_loses_none(built, tracks, params, tmp_path, monkeypatch):
    put, calls = journal.put, itertools.count()  # of several threads at once
    partial = tmp_path / "features" / f"{built.folder.name}.partial"

    def full(rows, file, row):
        if next(calls) >= 10:
            for _ in range(1_000):  # the journal is written by another thread, which may not have come to it yet
                if journal.read(partial):
                    break
                time.sleep(0.01)
            with disk.writing(file):
                raise OSError(errno.ENOSPC, "full")
        put(rows, file, row)

    with (
        monkeypatch.context() as patch,
        pytest.raises(DiskError, match=r"features\.npy cannot be written: No space left"),
    ):
        patch.setattr(journal, "put", full)
        store.build(tracks, params, tmp_path)
    assert 0 < len(journal.read(partial)) <= 10
    resumed = store.build(tracks, params, tmp_path)
    assert (resumed.folder / "features.npy").read_bytes() == (built.folder / "features.npy").read_bytes()


@pytest.mark.parametrize("versions", [False, True])
def test_too_little_memory_names_the_track_and_is_no_fault_of_it(tracks, params, tmp_path, monkeypatch, versions):
    def greedy(*_):
        raise MemoryError("Unable to allocate 9 TiB")

    monkeypatch.setattr(augmentation, "render", greedy)
    block = plan.blocks_of(tracks[:1], dataclasses.replace(params, noise_snr_db=20.0))[versions]
    with pytest.raises(WorkerError, match=r"not enough memory for 4 segments .*9 TiB.*Lower max_segments"):
        extraction.extract_track(block, tmp_path / "features.npy", params)


def test_a_killed_worker_names_what_was_under_way(tracks, params, tmp_path, monkeypatch):
    class Killed(joblib.Parallel):
        def __call__(self, jobs):
            yield extraction.extract_track(*jobs[0][1])
            raise BrokenExecutor("a worker is gone")

    monkeypatch.setattr(extraction.joblib, "Parallel", Killed)
    monkeypatch.setattr(extraction.joblib, "cpu_count", lambda: 1)
    with pytest.raises(WorkerError) as caught:
        store.build(tracks, params, tmp_path)
    assert all(f"bass.0000{number}.wav" in str(caught.value) for number in (1, 2))
    assert "bass.00000.wav" not in str(caught.value)
    monkeypatch.undo()
    assert len(store.build(tracks, params, tmp_path).segments) == 96


def test_a_store_can_be_read_with_some_of_its_versions(genre_folder, params, tmp_path):
    tracks = catalog.from_folder(genre_folder, params).head(2)
    both = dataclasses.replace(params, pitch_semitones=2.0, noise_snr_db=20.0)
    wide = store.build(tracks, both, tmp_path)
    for wanted, kinds in ((params, {""}), (dataclasses.replace(params, noise_snr_db=5.0), {"", "noise"}), (both, None)):
        found = wide.with_versions(wanted).segments
        assert set(found["augmentation"].str.partition(" ")[0]) == (kinds or {"", "pitch", "noise"})
        rows = wide.segments["augmentation"].str.partition(" ")[0].isin(kinds or {"", "pitch", "noise"})
        pd.testing.assert_frame_equal(found, wide.segments[rows])
