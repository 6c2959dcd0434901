"""What training, scoring and comparing cost."""
