"""Where models run: the sampler, the one optimizer loop, and the handles a recipe holds."""
