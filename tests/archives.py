"""Archives for the tests of downloading and unpacking: good ones and broken ones."""

import gzip
import io
import tarfile
import zipfile

import numpy as np
import soundfile

LIMIT_BYTES = 1_000_000


def two_clips():
    """Two short clips, by the path that GTZAN gives them."""
    rng = np.random.default_rng(0)
    found = {}
    for track_id in ("blues.00000", "rock.00001"):
        file = io.BytesIO()
        soundfile.write(file, rng.uniform(-0.5, 0.5, 2_000), 22_050, format="WAV", subtype="PCM_16")
        found[f"genres/{track_id.split('.')[0]}/{track_id}.wav"] = file.getvalue()
    return found


def zip_bytes(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, data in files.items():
            opened.writestr(name, data)
    return buffer.getvalue()


def tar_member(name, kind=tarfile.REGTYPE, target="", size=0):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, size
    return info


def tar_bytes(files, members=(), mode="w:gz"):
    """A tar of these members, then these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as opened:
        for member in members:
            opened.addfile(member)
        for name, data in files.items():
            opened.addfile(tar_member(name, size=len(data)), io.BytesIO(data))
    return buffer.getvalue()


def files_below(folder):
    """Every file, by its relative path; locks aside."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.endswith(".lock")}


def broken_archives(wavs):
    """Archives of the two clips, each damaged in one way."""
    zipped, gzipped, tar = zip_bytes(wavs), tar_bytes(wavs), tar_bytes(wavs, mode="w")
    middle = len(zipped) // 4  # in the first clip's bytes
    first_bytes = next(iter(wavs.values()))
    second_header = 1_024 + -len(first_bytes) % 512 + len(first_bytes) - 512
    return {
        "zip, one byte": zipped[:middle] + bytes([zipped[middle] ^ 1]) + zipped[middle + 1 :],
        "zip, cut": zipped[:-100],
        "gzip, one byte of the CRC": gzipped[:-8] + bytes([gzipped[-8] ^ 1]) + gzipped[-7:],
        "gzip, cut in the middle": gzipped[: len(gzipped) // 2],
        "gzip, cut at the end": gzipped[:-4],
        "gzip, goes on": gzip.compress(tar + bytes(2**20)),
        "tar, cut in a clip": tar[:1_000],
        "tar, cut between clips": tar[:second_header],
        "tar, a header lost": tar[:second_header] + b"?" * 512 + tar[second_header + 512 :],
        "no archive": b"<html>Sign in first</html>",
        "nothing": b"",
    }
