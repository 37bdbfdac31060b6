"""What is in a file of data before a model learns from it: pure functions of its records."""
