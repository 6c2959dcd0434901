"""What breaks first as everything grows: measured small, extrapolated."""
