"""A world of children's stories: openings and a critic for a small model that the user brings."""
