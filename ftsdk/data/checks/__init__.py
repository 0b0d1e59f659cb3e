"""What is wrong with training data: the exact rules, a prefilter in SQL, duplicates, secrets, the report."""
