"""Reports: the pages and plots that a run leaves."""
