"""How often networks, ensembles, the audit and the calibration are right."""
