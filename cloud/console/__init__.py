"""The operator's page: a browser's view of the skills behind the doors, and nothing that they do not have."""
