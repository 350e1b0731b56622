"""What runs away from the site."""
