"""Model to TFRecord files as the OD API reads them, without TensorFlow."""
