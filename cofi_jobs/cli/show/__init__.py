"""What a person sees of a store on the terminal.

One module for each thing that is shown; `tables.py` draws DataFrames with Rich. A module reads what
other rooms wrote or computed, builds DataFrames of texts and prints them. It computes nothing that
a program could need, and only commands that show something import it: pandas takes longer to import
than a small task takes to run.
"""
