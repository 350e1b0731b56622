"""Day-ahead prices: what a provider answers or a file holds, as steps of price; pure, for both sides."""
