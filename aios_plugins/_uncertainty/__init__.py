"""How unsure a model is of a text: readings by estimators, and what their numbers mean.

Shared by the commands `uncertainty`, which calibrates and scores, and `verify`, and by evolution.
"""
