"""Where the shards of a stage are computed: in this process, in several, or on a Ray cluster."""
