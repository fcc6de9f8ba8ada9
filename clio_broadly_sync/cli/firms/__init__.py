"""`firms`: the firms of a fleet, and what is done with them."""
