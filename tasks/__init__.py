"""Stages: cached Prefect tasks around functions of `prefopt_core`. One file per family."""
