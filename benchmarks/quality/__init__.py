"""Whether the selection strategies do what they are for, on recorded pools."""
