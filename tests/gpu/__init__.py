"""The ticket: one command for the day a card is lent."""
