"""A self-hosted dashboard for many cameras. Imports nothing, so that each layer can be imported alone."""
