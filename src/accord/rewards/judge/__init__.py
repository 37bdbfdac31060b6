"""Language models as judges: of two answers, or of one by a grade or by criteria."""
