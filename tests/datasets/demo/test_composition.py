"""The demo set: music that obeys its own table, and a folder that is either whole or not there."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
import scipy.fft
import scipy.ndimage
import soundfile

from genre_utils.datasets.demo import arrangement, composition, styles, synthesis
from genre_utils.errors import CatalogError, ParamsError

SEGMENTS = 6


@pytest.fixture(scope="module")
def pieces():
    """One piece of every genre."""
    return {genre: composition.compose(genre, artist=1, track=1, seed=0) for genre in styles.GENRES}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A whole set of twenty tracks."""
    return composition.render(tmp_path_factory.mktemp("demo") / "set", tracks_per_genre=2, artists_per_genre=2)


@pytest.fixture
def quick(monkeypatch):
    """Silence for music: for what is about folders."""

    def write(folder, row, _genre, _artist, _track, seed):
        path = folder / row["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([seed]))

    monkeypatch.setattr(composition.joblib, "delayed", lambda _: lambda *arguments: (write, arguments, {}))
    monkeypatch.setattr(composition.os, "cpu_count", lambda: 1)  # in this process, where the patch holds


@pytest.fixture
def unaided(monkeypatch):
    """Nobody borrows: each genre is what its row says."""
    monkeypatch.setattr(arrangement, "BORROW", 0.0)


def contents(folder):
    """Every file with its bytes and the time of its writing."""
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def spectrogram(piece, n_fft=512, hop=128):
    """Magnitudes [shape=(frame, bin)]."""
    frames = np.lib.stride_tricks.sliding_window_view(piece, n_fft)[::hop]
    return np.abs(scipy.fft.rfft(frames * np.hanning(n_fft).astype(np.float32)))


def onset_autocorrelation(piece, seconds, hop=128):
    """Correlation of the onset envelope with itself some seconds later."""
    levels = np.log(1e-3 + spectrogram(piece, hop=hop))
    onsets = np.maximum(np.diff(levels, axis=0), 0).sum(axis=1)
    onsets -= onsets.mean()
    lag = round(seconds * synthesis.SAMPLE_RATE_HZ / hop)
    return np.dot(onsets[lag:], onsets[:-lag]) / np.dot(onsets, onsets)


def percussive_share(piece):
    """Share of the power that stands upright in the spectrogram (Fitzgerald's medians)."""
    magnitudes = spectrogram(piece, n_fft=2048, hop=512)
    along_time = scipy.ndimage.median_filter(magnitudes, (17, 1))
    along_frequency = scipy.ndimage.median_filter(magnitudes, (1, 17))
    return (magnitudes**2)[along_frequency > along_time].sum() / (magnitudes**2).sum()


def power_between(piece, low_hz, high_hz):
    """Share of a piece's power between two frequencies."""
    power = np.abs(np.fft.rfft(piece)) ** 2
    hz = np.fft.rfftfreq(len(piece), 1 / synthesis.SAMPLE_RATE_HZ)
    return power[(hz >= low_hz) & (hz < high_hz)].sum() / power.sum()


def test_ten_genres_in_the_order_of_the_alphabet():
    assert len(styles.GENRES) == 10
    assert list(styles.GENRES) == sorted(styles.GENRES)


def test_the_table_is_sound():
    for genre, style in styles.STYLES.items():
        assert set(style.neighbours) <= set(styles.GENRES) - {genre}
        assert len(style.feel.form) == SEGMENTS, "one section a segment, or segments would be alike"
        assert {part.voice for part in (style.bass, style.comp, style.lead)} <= set(styles.VOICES)
        lines = [style.bass.line, style.comp.line]
        if style.drums is not styles.NO_DRUMS:
            lines += [style.drums.kick, style.drums.snare, style.drums.hat, style.drums.cymbal]
        assert {len(line) for line in lines} <= {0, 16}, f"{genre}: a bar has sixteen sixteenths"
        for chord in f"{style.harmony.verse} {style.harmony.chorus}".split():
            assert synthesis.chord_tones(chord)


@pytest.mark.parametrize(
    ("name", "tones"),
    [
        ("C", (0, 4, 7)),
        ("Am", (9, 12, 16)),
        ("G7", (7, 11, 14, 17)),
        ("Bb5", (10, 17, 22)),
        ("Fmaj7", (5, 9, 12, 16)),
    ],
)
def test_chords_are_spelled_right(name, tones):
    assert synthesis.chord_tones(name) == tones


@pytest.mark.parametrize("genre", styles.GENRES)
def test_a_piece_is_thirty_clean_seconds(pieces, genre):
    piece = pieces[genre]
    assert piece.shape == (661_500,)
    assert piece.dtype == np.float32
    assert np.isfinite(piece).all()
    assert np.abs(piece).max() <= 0.95
    assert abs(piece.mean()) < 3 / 2**15  # steps of 16 bits
    for segment in piece.reshape(SEGMENTS, -1):
        assert 20 * np.log10(segment.std()) > -40, "no segment may be silent"


def test_the_same_seed_gives_the_same_music(pieces):
    again = composition.compose("jazz", artist=1, track=1, seed=0)
    np.testing.assert_array_equal(again, pieces["jazz"])


@pytest.mark.parametrize("other", [{"seed": 1}, {"artist": 2}, {"track": 2}])
def test_another_seed_artist_or_track_is_other_music(pieces, other):
    piece = composition.compose("jazz", **{"artist": 1, "track": 1, "seed": 0} | other)
    assert abs(np.corrcoef(piece, pieces["jazz"])[0, 1]) < 0.5


def test_a_note_has_its_pitch_and_no_clicks():
    for name, voice in styles.VOICES.items():
        note = synthesis.tone(voice, 69, 1.0, brightness=0.0)
        assert note[0] == note[-1] == 0, name
        spectrum = np.abs(np.fft.rfft(note[len(note) // 4 :], 1 << 18))
        hz = np.fft.rfftfreq(1 << 18, 1 / synthesis.SAMPLE_RATE_HZ)
        near = (hz > 400) & (hz < 480)
        assert abs(hz[near][spectrum[near].argmax()] - 440) < 4, name


def test_harmonics_stay_below_the_highest_mel_band():
    note = synthesis.tone(styles.VOICES["banjo"], 96, 0.5, brightness=0.3)
    assert power_between(note, 10_500, 11_026) < 1e-3, "higher ones would fold back as false notes"


@pytest.mark.usefixtures("unaided")
@pytest.mark.parametrize("genre", ["disco", "metal", "pop", "rock"])
def test_drums_repeat_with_the_beat_of_the_table(genre):
    beat_seconds = 60 / arrangement.arrange(genre, 0, 0, seed=0).feel.bpm
    piece = composition.compose(genre, 0, 0, seed=0)
    on_the_beat = onset_autocorrelation(piece, 4 * beat_seconds)
    for off in (0.9, 1.1, 1.3):
        assert on_the_beat > 2 * abs(onset_autocorrelation(piece, 4 * beat_seconds * off))


@pytest.mark.usefixtures("unaided")
def test_the_tempo_is_near_that_of_the_row():
    for genre, style in styles.STYLES.items():
        for artist, track in itertools.product(range(4), range(2)):
            assert arrangement.arrange(genre, artist, track, seed=0).feel.bpm == pytest.approx(style.feel.bpm, rel=0.15)


@pytest.mark.usefixtures("unaided")
def test_an_orchestra_has_no_drummer(pieces):
    assert all(arrangement.arrange("classical", artist, 0, seed=0).drums is styles.NO_DRUMS for artist in range(8))
    ten = 20 * synthesis.SAMPLE_RATE_HZ  # the last ten seconds will do
    assert percussive_share(pieces["classical"][ten:]) < 0.5 * percussive_share(pieces["disco"][ten:])


PAIRS = [{genre, partner} for genre, partner in styles.PARTNER.items()]


def test_every_genre_is_in_two_of_ten_pairs():
    assert len({frozenset(pair) for pair in PAIRS}) == 10
    for genre in styles.GENRES:
        assert sum(genre in pair for pair in PAIRS) == 2
        assert styles.PARTNER[genre] != genre


@pytest.mark.parametrize("genre", styles.GENRES)
def test_a_mixed_track_has_the_rhythm_of_one_genre_and_the_tune_of_the_other(genre):
    both = {genre, styles.PARTNER[genre]}
    of_rhythm = set()
    for artist in range(4):
        played = arrangement.arrange(genre, artist, 4 + artist, seed=0, mixed=True)

        def players(part, played=played):
            return {name for name in both if getattr(styles.STYLES[name], part) == getattr(played, part)}

        rhythm, tune = players("drums"), players("lead")
        assert len(rhythm) == len(tune) == 1
        assert rhythm | tune == both
        assert players("bass") == rhythm
        assert players("comp") == players("harmony") == tune
        feel = styles.STYLES[min(rhythm)].feel
        assert (played.feel.swing, played.feel.form) == (feel.swing, feel.form)
        assert played.feel.bpm == pytest.approx(feel.bpm, rel=0.15)
        of_rhythm |= rhythm
    assert of_rhythm == both, "each genre gives the rhythm to some artists"


def test_a_mixed_track_is_other_music_and_the_same_each_time(pieces):
    mixed = composition.compose("jazz", artist=1, track=1, seed=0, mixed=True)
    np.testing.assert_array_equal(mixed, composition.compose("jazz", artist=1, track=1, seed=0, mixed=True))
    assert abs(np.corrcoef(mixed, pieces["jazz"])[0, 1]) < 0.5
    assert np.isfinite(mixed).all()
    assert np.abs(mixed).max() <= 0.95
    for segment in mixed.reshape(SEGMENTS, -1):
        assert 20 * np.log10(segment.std()) > -40, "no segment may be silent"


def test_what_the_row_says_is_what_is_played(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        composition, "compose", lambda *what, **how: asked.append((what, how)) or np.zeros(9, np.float32)
    )
    for genre in ("rock", "metal|rock"):
        composition.write_track(tmp_path, {"path": f"{len(genre)}/a.wav", "genre": genre}, "rock", 1, 5, 0)
    assert asked == [(("rock", 1, 5, 0), {"mixed": False}), (("rock", 1, 5, 0), {"mixed": True})]


def test_a_twelve_bar_blues_has_twelve_bars():
    assert len(styles.STYLES["blues"].harmony.verse.split()) == 12


def test_parts_are_borrowed_from_neighbours_only():
    borrowed = 0
    for genre, style in styles.STYLES.items():
        lenders = [styles.STYLES[name] for name in style.neighbours]
        for artist in range(8):
            played = arrangement.arrange(genre, artist, 0, seed=0)
            for part in ("drums", "bass", "comp", "lead", "harmony"):
                own = getattr(played, part) == getattr(style, part)
                assert own or getattr(played, part) in [getattr(lender, part) for lender in lenders]
                borrowed += not own
    assert 0 < borrowed < 200, "some of the 400 parts, not most"


@pytest.mark.usefixtures("unaided")
def test_tracks_of_an_artist_share_a_sound():
    def envelope(artist, track):
        piece = composition.compose("pop", artist, track, seed=0)
        power = (spectrogram(piece, hop=512) ** 2).mean(axis=0)[1:241]  # above 10.4 kHz no voice sounds
        return 10 * np.log10(power.reshape(20, -1).mean(axis=1))

    sounds = np.array([[envelope(artist, track) for track in range(3)] for artist in range(3)])
    within = np.abs(sounds - sounds.mean(axis=1, keepdims=True)).mean()
    between = np.abs(sounds.mean(axis=1) - sounds.mean(axis=(0, 1))).mean()
    assert between > within


def test_the_folder_is_laid_out_as_gtzan(folder):
    tracks = pd.read_csv(folder / "tracks.csv")
    assert list(tracks.columns) == ["path", "genre", "artist", "title", "published_split"]
    assert tracks.path[0] == "blues/blues.00000.wav"
    assert tracks.genre.value_counts().to_dict() == dict.fromkeys(styles.GENRES, 2)
    assert sorted(tracks.path) == sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.wav"))
    for path in tracks.path:
        about = soundfile.info(folder / path)
        assert (about.frames, about.samplerate, about.channels) == (661_500, 22_050, 1)
        assert about.subtype == "PCM_16"


def test_a_file_holds_what_was_composed(folder, pieces):
    audio, _ = soundfile.read(folder / "rock/rock.00001.wav", dtype="float32")
    np.testing.assert_allclose(audio, pieces["rock"], atol=1.001 / 2**15)  # a step of 16 bits


def test_artists_have_one_genre_and_names_of_their_own():
    tracks = pd.DataFrame(composition.track_list(*composition.SIZES["demo"], seed=0))
    assert (tracks.groupby("genre").artist.nunique() == 10).all()
    assert tracks[["artist", "genre"]].drop_duplicates().artist.is_unique
    assert set(tracks.groupby("artist").size()) == {2, 3}
    assert tracks.title.is_unique


@pytest.mark.parametrize(("artists", "held_out"), [(2, 0), (3, 1), (4, 1), (9, 1), (10, 2)])
def test_a_fifth_of_each_genres_artists_is_tested_and_another_validates(artists, held_out):
    tracks = pd.DataFrame(composition.track_list(2 * artists, artists, seed=0))
    of_artist = tracks[["artist", "genre", "published_split"]].drop_duplicates()
    assert of_artist.artist.is_unique
    wanted = {"train": artists - 2 * held_out, "validation": held_out, "test": held_out}
    for _, sides in of_artist.groupby("genre").published_split:
        assert sides.value_counts().to_dict() == {split: count for split, count in wanted.items() if count}


def test_half_of_the_mixed_tracks_have_two_genres_and_the_rest_is_as_it_was():
    plain, mixed = (pd.DataFrame(composition.track_list(8, 4, seed=0, mixed=mixed)) for mixed in (False, True))
    two = mixed.genre.str.contains("|", regex=False)
    assert two.sum() == 40
    assert mixed[~two].equals(plain[~two])
    columns = ["artist", "title", "published_split"]
    assert mixed[columns].equals(plain[columns])
    assert {frozenset(genre.split("|")) for genre in mixed.genre[two]} == set(map(frozenset, PAIRS))
    each = mixed.assign(genre=mixed.genre.str.split("|")).explode("genre")
    sides = pd.crosstab(each.genre, each.published_split)
    assert (sides[["test", "train", "validation"]] == [3, 6, 3]).all(axis=None)
    assert (mixed.groupby("artist").genre.nunique() == 2).all(), "an artist plays alone and with the partner's genre"
    assert mixed.path.is_unique


def test_two_renders_have_the_same_bytes(folder, tmp_path):
    again = composition.render(tmp_path / "set", tracks_per_genre=1, artists_per_genre=2)
    for path in again.rglob("*.wav"):
        assert path.read_bytes() == (folder / path.relative_to(again)).read_bytes()


def test_a_second_render_does_nothing(folder):
    before = contents(folder)
    composition.render(folder, tracks_per_genre=2, artists_per_genre=2)
    assert contents(folder) == before


@pytest.mark.usefixtures("quick")
def test_a_killed_render_is_not_taken_for_whole(tmp_path, monkeypatch):
    def killed(iterable, *_):
        yield from itertools.islice(iterable, 5)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(composition, "progress", killed)
        with pytest.raises(KeyboardInterrupt):
            composition.render(tmp_path / "set", tracks_per_genre=2, seed=1)
    assert not (tmp_path / "set").exists()
    composition.render(tmp_path / "set", tracks_per_genre=1, seed=2)
    files = sorted((tmp_path / "set").rglob("*.wav"))
    assert [path.read_bytes() for path in files] == [bytes([2])] * 10


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("change", [{"seed": 1}, {"tracks_per_genre": 1}, {"artists_per_genre": 1}, {"mixed": True}])
def test_changed_arguments_render_anew(tmp_path, change):
    first = {"tracks_per_genre": 2, "artists_per_genre": 2, "seed": 0}
    before = contents(composition.render(tmp_path / "set", **first))
    after = contents(composition.render(tmp_path / "set", **first | change))
    assert len(list((tmp_path / "set").rglob("*.wav"))) == 10 * (first | change)["tracks_per_genre"]
    assert all(after[path] != before[path] for path in after)


@pytest.mark.usefixtures("quick")
def test_a_mixed_set_is_named_by_both_genres(tmp_path):
    folder = composition.render(tmp_path / "set", tracks_per_genre=2, artists_per_genre=1, mixed=True)
    tracks = pd.read_csv(folder / "tracks.csv")
    assert tracks[["path", "genre"]].head(2).to_numpy().tolist() == [
        ["blues/blues.00000.wav", "blues"],
        ["blues-rock/blues-rock.00001.wav", "blues|rock"],
    ]
    assert sorted(tracks.path) == sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.wav"))


@pytest.mark.usefixtures("quick")
def test_another_version_renders_anew(tmp_path, monkeypatch):
    before = contents(composition.render(tmp_path / "set", tracks_per_genre=1))
    monkeypatch.setattr(composition, "VERSION", composition.VERSION + 1)
    after = contents(composition.render(tmp_path / "set", tracks_per_genre=1))
    assert all(after[path][1] > before[path][1] for path in after)
    assert json.loads((tmp_path / "set/demo.json").read_text())["version"] == composition.VERSION


@pytest.mark.usefixtures("quick")
def test_a_lost_file_renders_anew(tmp_path):
    folder = composition.render(tmp_path / "set", tracks_per_genre=1)
    (folder / "jazz/jazz.00000.wav").unlink()
    composition.render(folder, tracks_per_genre=1)
    assert (folder / "jazz/jazz.00000.wav").is_file()


@pytest.mark.usefixtures("quick")
def test_somebody_elses_folder_is_left_alone(tmp_path):
    (tmp_path / "holiday.wav").write_bytes(b"mine")
    with pytest.raises(CatalogError, match="other files"):
        composition.render(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.wav"]


@pytest.mark.parametrize("wrong", [{"tracks_per_genre": 0}, {"artists_per_genre": 0}, {"artists_per_genre": 99}])
def test_impossible_numbers_are_named(tmp_path, wrong):
    with pytest.raises(ParamsError, match="Received"):
        composition.render(tmp_path / "set", **wrong)
