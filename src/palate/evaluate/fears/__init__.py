"""What a user fears of a tuned model, answer by answer: unfinished, going round, alike, declining, worse."""
