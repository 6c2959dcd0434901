"""The page on which people label, served from this machine: `prefopt annotate`."""
