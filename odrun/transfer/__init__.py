"""Files from elsewhere: fetched, unpacked, and nothing in them trusted."""
