"""The shell around the pure market: one writer per zone, journalled before it acts."""
