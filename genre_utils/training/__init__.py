"""Training: the tf.data pipeline, augmentation, the recipe, and the training loop on one or several devices."""
