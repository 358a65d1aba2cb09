"""What is run: studies, their plan, search, results and command line."""
