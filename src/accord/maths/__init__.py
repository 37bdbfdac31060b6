"""Every formula of the house, a pure function of tensors, with its paper; torch and no more."""
