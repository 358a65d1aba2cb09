"""One module for each command of `mixco`; each imports what it runs only when it runs it."""
