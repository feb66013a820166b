"""Broken and odd files, seeded, and what is expected of whoever reads each: the corpus of broken_files.py."""

import functools
import io
import itertools
import os
import socket
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

SEED = 0
MOST_MB = 1_024  # that a reader may take
ADDRESS_BYTES = 6 * 2**30  # one that wants more gets a MemoryError, and the machine lives on
RATE_HZ, OPUS_HZ, FILM_HZ = 22_050, 48_000, 44_100
SECONDS = 3.2  # three segments of 1 s and a rest
LOSSLESS_DB, LOSSY_DB = 0.3, 3.0  # mean distance of log-mels, where the clip is within 30 dB of its loudest
SPARSE_BYTES = 10 * 2**30
OGG_BYTES = 2**30  # libsndfile looks for Ogg's last page from the end of the file on, a GB a second
TENTHS = range(1, 10)

# What libsndfile writes: its format, its subtype, the rate, and by how much a decoded log-mel may differ.
SOUND = {
    "wav": ("WAV", "PCM_16", RATE_HZ, LOSSLESS_DB),
    "flac": ("FLAC", "PCM_16", RATE_HZ, LOSSLESS_DB),
    "ogg": ("OGG", "VORBIS", RATE_HZ, LOSSY_DB),
    "mp3": ("MP3", "MPEG_LAYER_III", RATE_HZ, LOSSY_DB),
    "aiff": ("AIFF", "PCM_16", RATE_HZ, LOSSLESS_DB),
    "au": ("AU", "PCM_16", RATE_HZ, LOSSLESS_DB),
    "caf": ("CAF", "PCM_16", RATE_HZ, LOSSLESS_DB),
    "w64": ("W64", "PCM_16", RATE_HZ, LOSSLESS_DB),
    "opus": ("OGG", "OPUS", OPUS_HZ, LOSSY_DB),
}
# What PyAV writes, where it is installed: container, codec, rate.
FILMS = {
    "m4a": ("ipod", "aac", FILM_HZ),
    "mp4": ("mp4", "aac", FILM_HZ),
    "wma": ("asf", "wmav2", FILM_HZ),
    "webm": ("webm", "libopus", OPUS_HZ),
}
SUBTYPES = {
    "PCM_U8": 2.0, "PCM_24": LOSSLESS_DB, "PCM_32": LOSSLESS_DB, "FLOAT": LOSSLESS_DB, "DOUBLE": LOSSLESS_DB,
    "ULAW": 2.0, "ALAW": 2.0, "IMA_ADPCM": 3.0, "MS_ADPCM": 3.0, "GSM610": 8.0,
}  # fmt: skip
NAMES = {
    "newline": "a\nb.wav", "tab": "a\tb.wav", "quotes": "\"a\" 'b'.wav",
    "emoji": "🎸🥁🎻.wav", "250 bytes": "n" * 246 + ".wav", "250 bytes of emoji": "🎸" * 61 + "a.wav",
    "HTML": "<img src=x onerror=alert(1)>.wav", "entity": "&lt;b&gt;&amp;.wav", "template": "{{ 7*7 }}{% raw %}.wav",
    "leading dash": "-rf.wav", "option": "--help.wav", "comma": "a,b;c.wav", "formula": "=1+1.wav",
    "percent": "%s%n%00.wav", "backslash": "a\\b\\..\\c.wav", "dollar": "$HOME`id`$(id).wav", "glob": "*?[a].wav",
    "right to left": "\u202eabc\u202c.wav", "zero width": "a\u200b\ufeffb.wav", "control": "a\x01\x1b[31mb.wav",
    "NFC": "caf\u00e9.wav", "NFD": "cafe\u0301.wav", "short": "~.wav", "upper case": "LOUD.WAV",
    "hash": "a#b?c=d&e.wav", "url": "http:\u2215\u2215x.wav", "separator": "a|b.wav",
    "NaN": "nan.wav", "null": "NULL.wav",
    "number": "007.wav", "line separator": "a\u2028b\x85c.wav", "not a character": "a\uffffb.wav",
}  # fmt: skip
UNTELLABLE = {
    "carriage return": b"a\rb.wav",
    "latin-1": b"caf\xe9.wav",
    "half of UTF-8": b"a\xf0\x9f.wav",
    "surrogate": b"a\xed\xa0\x80b.wav",
}
OTHERS = {"trailing dot": "a.wav.", "trailing space": "a.wav ", "no suffix": "music", "text": "music.txt"}

Content = bytes | Callable[[Path], object]


class Item(NamedTuple):
    """A file, and what is expected of whoever reads it.

    ``right``: the clip's own segments. ``part``: its first ones, or a fault. ``either``: something finite, or a
    fault. ``fault``: nothing but a fault.
    """

    kind: str
    name: str  # of the file
    expected: str
    within_db: float = LOSSLESS_DB
    segments: int = 3

    @property
    def place(self) -> str:
        """Below the corpus' folder; the kind is the genre."""
        return f"{self.kind}/{self.name}"


@functools.lru_cache
def clip(rate_hz: int) -> np.ndarray:
    """Sixty voices that glide, the same at every rate: a formula, so that nothing is resampled; (samples,)."""
    rng = np.random.default_rng(SEED)
    seconds = np.arange(round(SECONDS * rate_hz)) / rate_hz
    whole = np.zeros(len(seconds))
    for hz, glide, phase in zip(
        np.geomspace(60, 3_000, 60), rng.uniform(-80, 80, 60), rng.uniform(0, 7, 60), strict=True
    ):
        whole += np.sin(2 * np.pi * (hz + glide / 50 * seconds) * seconds + phase)
    return 0.5 * whole / np.abs(whole).max()


def written(samples: np.ndarray, rate_hz: int, container: str, subtype: str) -> bytes:
    """A file's bytes, as libsndfile writes them."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, subtype, format=container)
    return file.getvalue()


@functools.lru_cache
def good(suffix: str) -> bytes:
    """The clip in one of the formats."""
    if suffix in FILMS:
        return film(*FILMS[suffix])
    container, subtype, rate_hz, _ = SOUND[suffix]
    return written(clip(rate_hz), rate_hz, container, subtype)


def film(container: str, codec: str, rate_hz: int) -> bytes:
    """The clip in a container of videos, as FFmpeg writes it."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format=container) as opened:
        stream = opened.add_stream(codec, rate=rate_hz, layout="mono")
        stream.bit_rate = 96_000  # wmav2 has no rate of its own
        frame = av.AudioFrame.from_ndarray(clip(rate_hz).astype(np.float32)[np.newaxis], "fltp", "mono")
        frame.sample_rate = rate_hz
        opened.mux(stream.encode(frame))
        opened.mux(stream.encode(None))
    return file.getvalue()


@functools.lru_cache
def suffixes() -> dict[str, float]:
    """Those that can be written here, and by how much a decoded log-mel may differ."""
    found = {suffix: facts[-1] for suffix, facts in SOUND.items()}
    try:
        for suffix in FILMS:
            good(suffix)
            found[suffix] = LOSSY_DB
    except ImportError:
        print("PyAV is not installed: m4a, mp4, wma and webm are left out.")
    return found


def patched(data: bytes, *changes: tuple[int, str, int | float]) -> bytes:
    """The bytes with values, of ``struct``'s formats, put at some places."""
    changed = bytearray(data)
    for offset, form, value in changes:
        struct.pack_into(form, changed, offset, value)
    return bytes(changed)


def with_last_granule(data: bytes, granule: int) -> bytes:
    """An Ogg file that says in its last page, with the right checksum, where it ends."""
    start = data.rfind(b"OggS")
    page = patched(data[start:], (6, "<q", granule), (22, "<I", 0))
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
    return data[:start] + patched(page, (22, "<I", crc))


def flipped(data: bytes, number: int) -> bytes:
    """Some bits turned over: for even numbers a few in the header, for odd ones up to 64 anywhere."""
    rng = np.random.default_rng([SEED, number, len(data)])
    within, most = (min(len(data), 128), 4) if number % 2 == 0 else (len(data), 64)
    changed = bytearray(data)
    for place in rng.integers(within, size=rng.integers(1, most + 1)):
        changed[place] ^= 1 << rng.integers(8)
    return bytes(changed)


def whole_files() -> Iterator[tuple[Item, Content]]:
    """What is right in every way, however rare."""
    for suffix, within in suffixes().items():
        yield Item("clean", f"a.{suffix}", "right", within), good(suffix)
    for subtype, within in SUBTYPES.items():
        yield Item("encodings", f"{subtype}.wav", "right", within), written(clip(RATE_HZ), RATE_HZ, "WAV", subtype)
    for name, container, subtype, within in (
        ("rf64.wav", "RF64", "PCM_16", LOSSLESS_DB), ("wavex.wav", "WAVEX", "PCM_24", LOSSLESS_DB),
        ("alac.caf", "CAF", "ALAC_16", LOSSLESS_DB), ("float.aiff", "AIFF", "FLOAT", LOSSLESS_DB),
        ("24.flac", "FLAC", "PCM_24", LOSSLESS_DB), ("8.flac", "FLAC", "PCM_S8", 2.0),
        ("g721.au", "AU", "G721_32", 3.0),
    ):  # fmt: skip
        yield Item("encodings", name, "right", within), written(clip(RATE_HZ), RATE_HZ, container, subtype)
    for rate_hz in (8_000, 11_025, 16_000, 32_000, 44_100, 48_000, 96_000, 192_000, 384_000):
        yield Item("rates", f"{rate_hz}.wav", "right"), written(clip(rate_hz), rate_hz, "WAV", "PCM_16")
    for channels in (2, 3, 6, 8, 32, 256, 1_024):
        several = np.repeat(clip(RATE_HZ)[:, np.newaxis], channels, axis=1)
        yield Item("channels", f"{channels}.wav", "right"), written(several, RATE_HZ, "WAV", "PCM_16")


def odd_samples() -> Iterator[tuple[Item, Content]]:
    """What sounds as no music does."""
    second = np.ones(RATE_HZ)
    music = clip(RATE_HZ)
    cases = {
        "NaN throughout": ("fault", music * np.nan), "one NaN": ("fault", with_one(music, np.nan)),
        "one infinity": ("fault", with_one(music, np.inf)), "one 1e38": ("fault", with_one(music, 1e38)),
        "1e38 throughout": ("fault", music * 1e38), "1e20 throughout": ("either", music * 1e20),
        "denormal": ("either", music * 1e-40), "quiet": ("right", music * 1e-3), "clipped": ("either", np.sign(music)),
        "too loud": ("right", music * 100), "DC": ("either", second.repeat(3)),
        "one click": ("either", with_one(0 * music, 1)),
        "silence": ("fault", 0 * music), "nothing": ("fault", music[:0]), "one sample": ("fault", music[:1]),
        "one segment": ("right", music[:RATE_HZ]), "one sample less": ("fault", music[: RATE_HZ - 1]),
    }  # fmt: skip
    for name, (expected, samples) in cases.items():
        count = len(samples) // RATE_HZ
        yield Item("samples", f"{name}.wav", expected, segments=count), written(samples, RATE_HZ, "WAV", "FLOAT")
    stereo = np.stack([music, -music], axis=1)
    yield Item("samples", "channels that cancel.wav", "fault"), written(stereo, RATE_HZ, "WAV", "FLOAT")


def with_one(samples: np.ndarray, value: float) -> np.ndarray:
    """The samples with one of them replaced, in the second segment."""
    changed = samples.copy()
    changed[RATE_HZ * 3 // 2] = value
    return changed


def headers() -> Iterator[tuple[Item, Content]]:
    """Headers that lie."""
    wav, flac, au, aiff, caf, w64, mp3 = map(good, ("wav", "flac", "au", "aiff", "caf", "w64", "mp3"))
    most = 2**32 - 1
    comm, xing = aiff.find(b"COMM"), max(mp3.find(b"Xing"), mp3.find(b"Info"))
    cases: dict[str, tuple[str, bytes]] = {
        "RIFF size 0.wav": ("part", patched(wav, (4, "<I", 0))),
        "RIFF size most.wav": ("right", patched(wav, (4, "<I", most))),
        "data size 0.wav": ("part", patched(wav, (40, "<I", 0))),
        "data size most.wav": ("right", patched(wav, (40, "<I", most))),
        "both most.wav": ("right", patched(wav, (4, "<I", most), (40, "<I", most))),
        "2^31 samples.wav": ("right", patched(wav, (40, "<I", 2**31))),
        "fmt size 0.wav": ("either", patched(wav, (16, "<I", 0))),
        "fmt size most.wav": ("either", patched(wav, (16, "<I", most))),
        "LIST of 4 GB.wav": ("part", wav[:36] + b"LIST" + struct.pack("<I", most) + wav[36:]),
        "no data.wav": ("fault", wav[:36]),
        "data before fmt.wav": ("either", wav[:12] + wav[36:] + wav[12:36]),
        "a thousand chunks.wav": ("part", wav[:36] + 1_000 * (b"junk" + struct.pack("<I", 4) + b"junk") + wav[36:]),
        "total most.flac": ("part", patched(flac, (22, ">I", most), (21, "B", flac[21] | 15))),
        "total 0.flac": ("part", patched(flac, (22, ">I", 0), (21, "B", flac[21] & 240))),
        "rate 0.flac": ("either", patched(flac, (18, ">H", 0), (20, "B", flac[20] & 15))),
        "rate most.flac": ("either", patched(flac, (18, ">H", 65_535), (20, "B", flac[20] | 240))),
        "block size 1.flac": ("either", patched(flac, (8, ">HH"[:2], 1), (10, ">H", 1))),
        "size unknown.au": ("right", patched(au, (8, ">I", most))),
        "size 2^31.au": ("part", patched(au, (8, ">I", 2**31 - 1))),
        "offset most.au": ("fault", patched(au, (4, ">I", most))),
        "rate most.au": ("fault", patched(au, (16, ">I", 2**31 - 1))),
        "rate 0.au": ("fault", patched(au, (16, ">I", 0))),
        "channels most.au": ("fault", patched(au, (20, ">I", most))),
        "frames most.aiff": ("right", patched(aiff, (comm + 10, ">I", most))),
        "rate infinite.aiff": ("fault", patched(aiff, (comm + 16, ">H", 0x7FFF))),
        "rate 0.aiff": ("fault", patched(aiff, (comm + 16, ">H", 0), (comm + 18, ">Q", 0))),
        "rate NaN.caf": ("fault", patched(caf, (20, ">d", float("nan")))),
        "rate 1e300.caf": ("fault", patched(caf, (20, ">d", 1e300))),
        "rate -1.caf": ("fault", patched(caf, (20, ">d", -1.0))),
        "data size most.caf": ("part", patched(caf, (caf.find(b"data") + 4, ">q", 2**63 - 1))),
        "data size -1.caf": ("part", patched(caf, (caf.find(b"data") + 4, ">q", -1))),
        "data size -2^63.caf": ("part", patched(caf, (caf.find(b"data") + 4, ">q", -(2**63)))),
        "data size most.w64": ("part", patched(w64, (w64.find(b"data") + 16, "<q", 2**63 - 1))),
        "riff size -1.w64": ("part", patched(w64, (16, "<q", -1))),
        "end 2^62.ogg": ("part", with_last_granule(good("ogg"), 2**62)),
        "end -1.ogg": ("part", with_last_granule(good("ogg"), -1)),
        "end 2^62.opus": ("part", with_last_granule(good("opus"), 2**62)),
        "end 2^40.ogg": ("part", with_last_granule(good("ogg"), 2**40)),
        "frames most.mp3": ("part", patched(mp3, (xing + 8, ">I", most), (xing + 12, ">I", most))),
        "tag of 256 MB.mp3": ("either", b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + mp3),
    }  # fmt: skip
    for name, (expected, data) in cases.items():
        yield Item("headers", name, expected, LOSSY_DB), data
    for rate_hz in (0, 1, 10, 100, 10**6, 10**7, 2**31 - 1, most):
        data = patched(wav, (24, "<I", rate_hz), (28, "<I", min(most, 2 * rate_hz)))
        yield (
            Item("headers", f"rate {rate_hz}.wav", "fault" if rate_hz < 50 or rate_hz >= 2**31 - 1 else "either"),
            data,
        )
    for channels in (0, 255, 1_024, 1_025, 65_535):
        data = patched(wav, (22, "<H", channels), (32, "<H", 2 * channels % 65_536))
        yield Item("headers", f"{channels} channels.wav", "either" if 0 < channels < 1_025 else "fault"), data
    for bits in (0, 1, 12, 64, 65_535):
        yield Item("headers", f"{bits} bits.wav", "either"), patched(wav, (34, "<H", bits))
    for tag in (0, 2, 0x11, 0x31, 0x55, 0xFFFE, 0xFFFF):
        yield Item("headers", f"format {tag:04x}.wav", "either"), patched(wav, (20, "<H", tag))
    for subtype, place in itertools.product(("IMA_ADPCM", "MS_ADPCM"), (32, 38)):
        adpcm = written(clip(RATE_HZ), RATE_HZ, "WAV", subtype)
        yield Item("headers", f"{subtype}, 0 at {place}.wav", "either"), patched(adpcm, (place, "<H", 0))
    yield Item("headers", "1024 channels in 0.5 GB.wav", "fault"), functools.partial(
        sparse, begin=patched(wav, (22, "<H", 1_024), (24, "<I", 192_000), (32, "<H", 2_048), (40, "<I", most))[:44],
        size=2**29,
    )  # fmt: skip


def not_audio(short: bool) -> Iterator[tuple[Item, Content]]:
    """What is something else, and audio under another's name."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("a.wav", good("wav"))
    rng = np.random.default_rng(SEED)
    others = {
        "empty": b"", "one byte": b"R", "text": b"this is no music\n" * 99, "zip": archive.getvalue(),
        "html": b"<!DOCTYPE html><title>404</title>" + b"<p>not found" * 99, "png": b"\x89PNG\r\n\x1a\n" + bytes(9_999),
        "zeros": bytes(2**20), "ones": b"\xff" * 2**20, "noise": rng.bytes(2**20),
        "pdf": b"%PDF-1.7\n" + rng.bytes(9_999),
        "json": b'{"a": ' * 9_999, "utf-16": "no music".encode("utf-16"), "magic": b"RIFF",
        "gzip": b"\x1f\x8b" + bytes(999),
    }  # fmt: skip
    for name, suffix in itertools.product(others, ("wav",) if short else ("wav", "mp3", "flac", "ogg")):
        yield Item("not audio", f"{name}.{suffix}", "fault"), others[name]
    names = list(suffixes())
    for suffix, other in zip(names, names[3:] + names[:3], strict=True):
        yield Item("wrong suffix", f"{suffix} as.{other}", "right", suffixes()[suffix]), good(suffix)
        yield Item("wrong suffix", f"{other} as a.{suffix}", "right", suffixes()[other]), good(other)
    for name in OTHERS.values():
        yield Item("other suffix", name, "right"), good("wav")


def cut_and_flipped(short: bool) -> Iterator[tuple[Item, Content]]:
    """Every format truncated at every tenth, and with bits turned over."""
    for suffix, within in suffixes().items():
        if short and suffix not in ("wav", "flac", "ogg", "mp3", "m4a"):
            continue
        data = good(suffix)
        for tenth in TENTHS if not short else (1, 5, 9):
            yield Item("truncated", f"at {tenth} tenths.{suffix}", "part", within), data[: len(data) * tenth // 10]
        for number in range(10 if not short else 2):
            yield Item("bits flipped", f"{number}.{suffix}", "either"), flipped(data, number)


def sparse(path: Path, begin: bytes, size: int = SPARSE_BYTES) -> None:
    """A large file that takes no room: some bytes, then a hole."""
    path.write_bytes(begin)
    os.truncate(path, size)


def no_plain_file(folder: Path) -> Iterator[tuple[Item, Content]]:
    """Links, pipes, devices, folders, holes."""
    for name, target in {
        "broken": "nowhere.wav", "itself": "itself.wav", "zero": "/dev/zero", "null": "/dev/null",
        "random": "/dev/urandom",
        "memory": "/proc/self/mem", "terminal": "/dev/tty", "folder": "..", "status": "/proc/self/status",
    }.items():  # fmt: skip
        yield Item("links", f"{name}.wav", "fault"), functools.partial(lambda path, to: path.symlink_to(to), to=target)
    good_one = folder / "clean" / "a.wav"
    yield Item("links", "good.wav", "right"), lambda path: path.symlink_to(good_one)
    yield Item("links", "hard.wav", "right"), lambda path: path.hardlink_to(good_one)
    for suffix in ("wav", "mp3", "flac", "ogg"):
        yield Item("special", f"pipe.{suffix}", "fault"), os.mkfifo
    yield Item("special", "socket.wav", "fault"), bound
    yield Item("special", "folder.wav", "fault"), Path.mkdir
    yield Item("special", "unreadable.wav", "fault"), unreadable
    for suffix in ("wav", "mp3", "flac", "ogg", "aiff"):
        yield Item("10 GB", f"of zeros.{suffix}", "fault"), functools.partial(sparse, begin=b"")
        size = OGG_BYTES if suffix == "ogg" else SPARSE_BYTES
        behind = functools.partial(sparse, begin=good(suffix), size=size)
        yield Item("10 GB", f"behind the music.{suffix}", "part", LOSSY_DB), behind


def bound(path: Path) -> None:
    """A socket that nobody listens on."""
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(os.path.relpath(path))  # an address has at most 107 bytes


def unreadable(path: Path) -> None:
    """A good file without any permission."""
    path.write_bytes(good("wav"))
    path.chmod(0)


def names() -> Iterator[tuple[Item, Content]]:
    """A good file under odd names."""
    for name in NAMES.values():
        yield Item("names", name, "right"), good("wav")
    for raw in UNTELLABLE.values():
        yield Item("names no table holds", os.fsdecode(raw), "part"), good("wav")


def write(folder: Path, short: bool) -> list[Item]:
    """Write the corpus.

    Parameters
    ----------
    folder : Path
        Gets a folder for each kind.
    short : bool
        Fewer variants of the same kinds.

    Returns
    -------
    list of Item
        In the order of their kinds.
    """
    groups = [whole_files(), cut_and_flipped(short), headers(), odd_samples(), not_audio(short), names()]
    items = []
    for item, content in itertools.chain(*groups, no_plain_file(folder)):
        path = folder / item.place
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            content(path)
        items.append(item)
    return items
