"""Every setting, and how its value is found.

A setting is declared once, with its default, its bounds and its description. Values are taken from
four places, from weak to strong: the default, the tuned settings of the store, the environment
(`COFI_<NAME>`), and what somebody set for this run. The trigger form and the command line are made
from the same declarations. This room uses `core` only. What a setting does belongs in the room that
does it.
"""
