"""One loop for every learner."""
