"""What stands where AWS stands, on one machine."""
