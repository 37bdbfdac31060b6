"""Is it better than before?  Win rates, what else changed, and a report that says so."""
