"""Measurements: what the dashboard costs and where its limits are. See README.md."""
