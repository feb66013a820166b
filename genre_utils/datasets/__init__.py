"""Tables of tracks and their genres, from folders, CSV files, downloads and the demo."""
