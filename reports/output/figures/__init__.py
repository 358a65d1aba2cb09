"""Each figure once, for the page and for a paper: a finished frame in, an Altair chart out."""
