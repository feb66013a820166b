"""From predictions to honest figures: scores, intervals, calibration, and studies of protocols and training."""
