"""Evaluation: accuracy with intervals, calibration, novelty scores, and studies of protocols and training."""
