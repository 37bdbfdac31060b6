"""The embedded default: a small storyteller, openings, a rule and a panel that ship with Accord."""
