"""Markov decision processes: Gymnasium environments, and language generation as one of them."""
