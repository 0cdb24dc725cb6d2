"""The verbs: each pass turns nouns into nouns, and imports nothing of ours but `nmc.ir`."""
