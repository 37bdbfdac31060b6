"""The only speller: conversations to ids and back, the same for training, scoring and serving."""
