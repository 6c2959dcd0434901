"""A world of short answers: questions with instructions, and a critic, for a real chat model."""
