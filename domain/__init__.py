"""What both sides reckon with: pure, on contracts alone."""
