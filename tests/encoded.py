"""Sound in containers, written by PyAV."""

from fractions import Fraction

import numpy as np
import pytest


def encoded(path, samples, rate_hz, codec, layout="mono", video=False, **options):
    """Write samples (channel, n) as one stream, after one of pictures if ``video``; ``options`` are the container's."""
    av = pytest.importorskip("av", reason="PyAV is not installed: pip install 'genre_utils[formats]'")
    with av.open(str(path), "w", options=options) as container:
        pictures = container.add_stream("mpeg4", rate=10, width=32, height=32) if video else None
        stream = container.add_stream(codec, rate=rate_hz, layout=layout, bit_rate=128_000)
        container.start_encoding()
        for number in range(10 if video else 0):
            picture = av.VideoFrame(32, 32, "yuv420p")
            picture.pts, picture.time_base = number, Fraction(1, 10)
            container.mux(pictures.encode(picture))
        packed = np.ascontiguousarray(samples.T, np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, "flt", layout)
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
        converter = av.AudioResampler(stream.format, layout, rate_hz, stream.codec_context.frame_size or 1_024)
        parts = [*converter.resample(frame), *converter.resample(None)] if samples.size else []
        for part in [*parts, None]:
            container.mux(stream.encode(part))
        if video:
            container.mux(pictures.encode(None))
    return path
