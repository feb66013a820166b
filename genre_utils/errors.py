"""What can go wrong, by name: every message says what is wrong, where, and what to do."""

from pathlib import Path


class GenreUtilsError(Exception):
    """Base of every error that this package raises on purpose."""


class ParamsError(GenreUtilsError):
    """A parameter or a profile breaks a rule."""


class CatalogError(GenreUtilsError):
    """A data set cannot be found, read or used as it is."""


class DownloadError(CatalogError):
    """A data set could not be fetched, checked or unpacked."""


class SplitError(GenreUtilsError):
    """The tracks cannot be divided as asked."""


class EvaluationError(GenreUtilsError):
    """Predictions cannot give the figure that was asked for."""


class RunError(GenreUtilsError):
    """A run folder lacks something, or a notebook failed."""


class ClusterError(GenreUtilsError):
    """A cluster cannot be reached, a member of it lacks something, or one is gone."""


class DiskError(GenreUtilsError):
    """A disk is full, read-only or broken."""


class WorkerError(GenreUtilsError):
    """The memory does not suffice, or a worker process is gone."""


class AudioError(GenreUtilsError):
    """An audio file cannot give what was asked of it.

    Parameters
    ----------
    path : str or Path
        The file.
    reason : str
        The rule, what was received, and the way out.
    """

    def __init__(self, path: str | Path, reason: str):
        super().__init__(path, reason)  # both, so that the error survives a worker's pickle
        self.path = Path(path)
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"
