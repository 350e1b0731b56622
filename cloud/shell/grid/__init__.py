"""The grid agent between its core and the stores."""
