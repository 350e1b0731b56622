"""Local time as people live it: clock changes, long and short days, holidays."""
