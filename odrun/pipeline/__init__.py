"""A run's settings → `pipeline.config`, the OD API's own configuration, without TensorFlow."""
