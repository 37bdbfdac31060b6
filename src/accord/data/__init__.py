"""Where examples come from, which come at which step, and how they are laid into rows."""
