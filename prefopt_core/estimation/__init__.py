"""Estimates of rewards before labels are bought, for strategies that choose pairs by them."""
