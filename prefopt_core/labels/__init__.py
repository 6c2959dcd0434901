"""Labels: the budget, how it is spread over prompts, and the store of bought labels."""
