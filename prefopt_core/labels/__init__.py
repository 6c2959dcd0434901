"""Labels: what they cost, who gets them, and where they stay for good."""
