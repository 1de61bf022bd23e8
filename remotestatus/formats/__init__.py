"""The machine formats of a round: each module turns one Report into the text of one kind of file."""
