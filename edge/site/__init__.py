"""One running site: builds, runs and says what it is."""
