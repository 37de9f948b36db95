"""What texts may be: regular expressions and JSON Schema as automata over bytes.

regular expression, or schema -> pattern -> automaton; shared by constraints, to which a text is
held while it is sampled, and by checkers, which read one that is there.
"""
