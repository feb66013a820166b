"""The confusion matrix that you can listen to: its data, a self-contained page and a notebook widget."""
