"""Clio's side: every key name of Clio's API is in this folder."""
