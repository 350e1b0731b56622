"""What is kept of one site's people: handed out to them, and taken away when they go."""
