"""The confusion matrix that you can listen to: one data object, a self-contained page and a notebook widget."""

from genre_utils.explorer.data import Exploration, of_run
from genre_utils.explorer.page import write
from genre_utils.explorer.widget import Explorer

__all__ = ["Exploration", "Explorer", "of_run", "write"]
