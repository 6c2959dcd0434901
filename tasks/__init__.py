"""Stages: thin, cached tasks around `prefopt_core`. One file per stage."""
