"""The explorer, an interactive confusion matrix with sound: its data, an HTML page and a notebook widget."""


def of_predictions(table, audio=None, against=None, **options):  # imports nothing before it is called
    """The explorer of anybody's predictions, as a widget; ``write(folder)`` makes it a page.

    Parameters
    ----------
    table : str, Path, pd.DataFrame or PredictionTable
        CSV, TSV, Parquet or JSON lines, or a data frame; ``docs/any_predictions.md`` has the columns. Arrays of
        scikit-learn go through ``prediction_table.of_arrays``.
    audio : str or Path, optional
        The folder of the audio files.
    against : as ``table``, optional
        Predictions of another model on the same rows.
    **options
        ``options`` (``prediction_table.Columns``) and ``doubts``, as ``explorer.predictions.read`` takes them.

    Returns
    -------
    genre_utils.explorer.widget.Explorer

    Raises
    ------
    EvaluationError
        If a table is wrong; the message names column and line.
    """
    from genre_utils.explorer import predictions, widget

    return widget.Explorer(predictions.read(table, audio, against, **options))
