"""The explorer, an interactive confusion matrix with sound: its data, an HTML page and a notebook widget."""
