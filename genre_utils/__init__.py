"""Music genre classification with CNNs on mel-spectrograms: the part that deserves tests."""

import os

# Read once, when TensorFlow is first imported: on CPUs without AVX-512 the faster kernels are off by default.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # without a GPU it logs an error; real ones are exceptions too
