"""What the table of trials shows, filters by and orders by."""
