"""Trackers: figures of training and rounds, sent to TensorBoard, W&B, MLflow or trackio."""
