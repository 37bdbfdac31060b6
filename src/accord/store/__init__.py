"""What lasts: runs that resume, artifacts that know where they come from.  No torch."""
