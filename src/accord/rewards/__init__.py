"""Who says how good an answer is: a rule, a learned model, a judge, a person, or a sum of them."""
