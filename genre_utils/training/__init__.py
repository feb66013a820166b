"""From stored features to trained weights: the tf.data pipeline, the recipe and the training loop."""
